package mdr.peer;

import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

import java.io.IOException;

/** The fields of schemas/service-request.avsc in their order, one object reused for all records. */
final class ServiceRequest {
    static final int KIND_REQUEST = 0;

    int kind;
    long mpan;
    long originator;
    long device;
    long counter;
    int role;
    long signer;
    int srv;
    int mode;
    int service;
    long receivedMs;
    long windowStartMs;
    long windowEndMs;
    double dueWallMs;

    private final byte[] eui = new byte[8];
    private BinaryDecoder decoder;

    void read(byte[] value) throws IOException {
        decoder = DecoderFactory.get().binaryDecoder(value, Wire.HEADER, value.length - Wire.HEADER, decoder);
        kind = decoder.readEnum();
        decoder.readInt();
        decoder.readLong();
        mpan = decoder.readLong();
        originator = readEui();
        device = readEui();
        counter = decoder.readLong();
        role = decoder.readEnum();
        signer = decoder.readIndex() == 0 ? originator : readEui();
        srv = decoder.readEnum();
        decoder.readEnum();
        mode = decoder.readEnum();
        service = decoder.readEnum();
        receivedMs = decoder.readLong();
        windowStartMs = decoder.readLong();
        windowEndMs = decoder.readLong();
        dueWallMs = decoder.readDouble();
    }

    private long readEui() throws IOException {
        decoder.readFixed(eui, 0, 8);
        return Wire.euiAt(eui, 0);
    }
}
