package mdr.peer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.File;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;

/**
 * Who may send requests, from a JSON list of `{ eui, suspendedFrom, roles: [{ role, mpids, standing }] }`: `eui` in 16
 * hexadecimal digits, `role` by number, `standing` as pairs of a day and the fact of core FACT that is true from then.
 */
final class Users {
    static final int ROLES = 8;

    private final Map<String, Integer> byMpid = new HashMap<>();
    private final long[] euis;
    private final int[] suspendedFrom;
    /** By user * ROLES + role; null where the role is not held. */
    private final int[][] standing;

    Users(File file) throws IOException {
        final JsonNode list = new ObjectMapper().readTree(file);
        euis = new long[Integer.highestOneBit(Math.max(1, list.size())) * 4];
        suspendedFrom = new int[euis.length];
        standing = new int[euis.length * ROLES][];
        for (JsonNode user : list) add(user);
    }

    /** Slot of the User, -1 where it is none. */
    int of(long eui) {
        final int at = probe(eui);
        return euis[at] == eui ? at : -1;
    }

    int ofMpid(String mpid) {
        return byMpid.getOrDefault(mpid, -1);
    }

    int suspendedFrom(int user) {
        return suspendedFrom[user];
    }

    boolean holds(int user, int role) {
        return standing[user * ROLES + role] != null;
    }

    /** What keeps the User from acting in a role that it holds. */
    int standingOn(int user, int role, int day) {
        final int[] steps = standing[user * ROLES + role];
        int at = steps.length - 2;
        while (steps[at] > day) at -= 2;
        return steps[at + 1];
    }

    private void add(JsonNode user) {
        final long eui = Long.parseUnsignedLong(user.get("eui").asText(), 16);
        final int at = probe(eui);
        euis[at] = eui;
        suspendedFrom[at] = user.get("suspendedFrom").intValue();
        for (JsonNode held : user.get("roles")) {
            final JsonNode steps = held.get("standing");
            final int[] numbers = new int[steps.size()];
            for (int k = 0; k < numbers.length; k++) numbers[k] = steps.get(k).intValue();
            standing[at * ROLES + held.get("role").intValue()] = numbers;
            for (JsonNode mpid : held.get("mpids")) byMpid.put(mpid.asText(), at);
        }
    }

    private int probe(long eui) {
        int at = (int) ((eui * 0x9E3779B97F4A7C15L) >>> 40) & (euis.length - 1);
        while (euis[at] != eui && euis[at] != 0) at = (at + 1) & (euis.length - 1);
        return at;
    }
}
