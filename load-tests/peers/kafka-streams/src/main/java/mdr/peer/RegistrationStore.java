package mdr.peer;

import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** Tenures by MPAN, resolved as core/registration.ts does. Slot: mpan, sequence, position in `tenures` + 1. */
final class RegistrationStore extends TableStore {
    static final String NAME = "registrations";
    /** Numbers a tenure: role, user (-1 none), first day, day after the last. */
    static final int TENURE = 4;

    private static final int STRIDE = 4;
    private static final int SEQUENCE = 1;
    private static final int POSITION = 2;
    private static final int DAY_MAX = Integer.MAX_VALUE;
    /** Of the schema's AppointedRole: IS, ES, MDR are the first of the roles. */
    private static final int APPOINTED_ROLES = 3;

    private final Users users;
    private final List<int[]> tenures = new ArrayList<>();
    private BinaryDecoder decoder;

    private record Appointment(int user, int role, int efd, int etd) {}

    RegistrationStore(Users users) {
        super(NAME, STRIDE);
        this.users = users;
    }

    /** Null where the MPAN has no registration. */
    int[] tenuresOf(long mpan) {
        final int at = find(mpan);
        return at < 0 ? null : tenures.get((int) words[at + POSITION]);
    }

    @Override
    void put(byte[] key, byte[] value) {
        final int at = findOrAdd(mpanOf(key));
        if (words[at + SEQUENCE] == 0) {
            words[at + POSITION] = tenures.size();
            tenures.add(null);
        }
        final int position = (int) words[at + POSITION];
        if (value == null) {
            tenures.set(position, null);
            return;
        }
        try {
            decoder = DecoderFactory.get().binaryDecoder(value, Wire.HEADER, value.length - Wire.HEADER, decoder);
            decoder.readLong();
            // Sequences are kept plus one, so that 0 says that there was none yet.
            final long sequence = decoder.readLong() + 1;
            if (sequence < words[at + SEQUENCE]) return;
            words[at + SEQUENCE] = sequence;
            tenures.set(position, resolve(readAppointments()));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private List<Appointment> readAppointments() throws IOException {
        final List<Appointment> appointments = new ArrayList<>();
        for (long block = decoder.readArrayStart(); block != 0; block = decoder.arrayNext()) {
            for (long k = 0; k < block; k++) {
                final int user = users.ofMpid(decoder.readString());
                final int role = decoder.readEnum();
                final int efd = decoder.readInt();
                appointments.add(new Appointment(user, role, efd, decoder.readIndex() == 0 ? DAY_MAX : decoder.readInt()));
            }
        }
        return appointments;
    }

    private static int[] resolve(List<Appointment> appointments) {
        final List<Appointment> inForce = new ArrayList<>();
        for (int role = 0; role < APPOINTED_ROLES; role++) {
            final int first = inForce.size();
            for (Appointment one : ofRole(appointments, role)) {
                if (one.etd < one.efd) continue;
                final int last = inForce.size() - 1;
                if (last >= first && inForce.get(last).efd == one.efd) inForce.set(last, one);
                else inForce.add(one);
            }
        }
        final int[] resolved = new int[inForce.size() * TENURE];
        for (int k = 0; k < inForce.size(); k++) {
            final Appointment one = inForce.get(k);
            final Appointment next = k + 1 < inForce.size() ? inForce.get(k + 1) : null;
            final int end = one.etd == DAY_MAX ? DAY_MAX : one.etd + 1;
            resolved[k * TENURE] = one.role;
            resolved[k * TENURE + 1] = one.user;
            resolved[k * TENURE + 2] = one.efd;
            resolved[k * TENURE + 3] = next == null || next.role != one.role ? end : Math.min(end, next.efd);
        }
        return resolved;
    }

    private static List<Appointment> ofRole(List<Appointment> appointments, int role) {
        return appointments.stream()
            .filter(one -> one.role == role)
            .sorted(Comparator.comparingInt(Appointment::efd))
            .toList();
    }
}
