package mdr.peer;

import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * Tenures by MPAN, resolved as core/registration.ts does. Slot: mpan, sequence, where its tenures begin in `pool`, and
 * their number (-1: no registration) with the room that they have there.
 */
final class RegistrationStore extends TableStore {
    static final String NAME = "registrations";
    /** Numbers a tenure: role, user (-1 none), first day, day after the last. */
    private static final int TENURE = 4;

    private static final int STRIDE = 4;
    private static final int SEQUENCE = 1;
    private static final int FIRST = 2;
    private static final int COUNT = 3;
    private static final int DAY_MAX = Integer.MAX_VALUE;
    /** Of the schema's AppointedRole: IS, ES, MDR are the first of the roles. */
    private static final int APPOINTED_ROLES = 3;

    private final Users users;
    private int[] pool = new int[1 << 12];
    private int poolEnd;
    private BinaryDecoder decoder;

    private record Appointment(int user, int role, int efd, int etd) {}

    RegistrationStore(Users users) {
        super(NAME, STRIDE);
        this.users = users;
    }

    /** Whether the User has the role on all of these days; false, too, where the MPAN is not registered. */
    boolean covers(int at, int role, int user, int firstDay, int lastDay) {
        final int first = (int) words[at + FIRST];
        final int end = first + (int) words[at + COUNT] * TENURE;
        int day = firstDay;
        for (int tenure = first; tenure < end; tenure += TENURE) {
            if (pool[tenure] != role || pool[tenure + 2] > day || pool[tenure + 3] <= day) continue;
            if (pool[tenure + 1] != user) return false;
            day = pool[tenure + 3];
            if (day > lastDay) return true;
        }
        return false;
    }

    boolean isRegistered(int at) {
        return at >= 0 && (int) words[at + COUNT] >= 0;
    }

    @Override
    void put(byte[] key, byte[] value) {
        final int at = findOrAdd(mpanOf(key));
        final int room = (int) (words[at + COUNT] >>> 32);
        if (value == null) {
            words[at + COUNT] = (long) room << 32 | 0xffffffffL;
            return;
        }
        try {
            decoder = DecoderFactory.get().binaryDecoder(value, Wire.HEADER, value.length - Wire.HEADER, decoder);
            decoder.readLong();
            final long sequence = decoder.readLong();
            if (sequence < words[at + SEQUENCE]) return;
            words[at + SEQUENCE] = sequence;
            keep(at, room, resolve(readAppointments()));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private void keep(int at, int room, int[] tenures) {
        final int count = tenures.length / TENURE;
        if (count > room) {
            if (poolEnd + tenures.length > pool.length) pool = Arrays.copyOf(pool, pool.length * 2 + tenures.length);
            words[at + FIRST] = poolEnd;
            poolEnd += tenures.length;
        }
        words[at + COUNT] = (long) Math.max(room, count) << 32 | count;
        System.arraycopy(tenures, 0, pool, (int) words[at + FIRST], tenures.length);
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
