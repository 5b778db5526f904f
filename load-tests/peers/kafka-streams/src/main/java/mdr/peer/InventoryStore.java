package mdr.peer;

import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

import java.io.IOException;
import java.io.UncheckedIOException;

/** The device of each MPAN. Slot: mpan, sequence, device, facts. */
final class InventoryStore extends TableStore {
    static final String NAME = "inventory";

    private static final int STRIDE = 4;
    private static final int SEQUENCE = 1;
    private static final int DEVICE = 2;
    private static final int FACTS = 3;
    /** Bits of facts: 0 no device; otherwise PRESENT and the numbers of the schema's symbols. */
    private static final long PRESENT = 1 << 24;

    private final byte[] eui = new byte[8];
    private BinaryDecoder decoder;

    InventoryStore() {
        super(NAME, STRIDE);
    }

    /** Slot of the MPAN's device if it is this one, otherwise -1. */
    int find(long mpan, long device) {
        final int at = find(mpan);
        return at >= 0 && words[at + DEVICE] == device && words[at + FACTS] != 0 ? at : -1;
    }

    int register(int at) {
        return (int) words[at + FACTS] & 0xff;
    }

    boolean isEsme(int at) {
        return (words[at + FACTS] >> 22 & 1) == 0;
    }

    int generation(int at) {
        return (int) (words[at + FACTS] >> 16) & 0x3f;
    }

    int status(int at) {
        return (int) (words[at + FACTS] >> 8) & 0xff;
    }

    @Override
    void put(byte[] key, byte[] value) {
        final int at = findOrAdd(mpanOf(key));
        if (value == null) {
            words[at + FACTS] = 0;
            return;
        }
        try {
            decoder = DecoderFactory.get().binaryDecoder(value, Wire.HEADER, value.length - Wire.HEADER, decoder);
            decoder.readLong();
            final long sequence = decoder.readLong();
            if (sequence < words[at + SEQUENCE]) return;
            words[at + SEQUENCE] = sequence;
            final long register = decoder.readEnum();
            decoder.readFixed(eui);
            words[at + DEVICE] = Wire.euiAt(eui, 0);
            final long kind = decoder.readEnum();
            final long generation = decoder.readEnum();
            words[at + FACTS] = PRESENT | kind << 22 | generation << 16 | (long) decoder.readEnum() << 8 | register;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
