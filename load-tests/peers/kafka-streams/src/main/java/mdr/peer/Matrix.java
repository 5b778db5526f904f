package mdr.peer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import java.io.File;
import java.io.IOException;
import java.util.List;

/** The SR/TRT matrix as far as access control asks it, by the numbers of the schemas' symbols. */
final class Matrix {
    static final int NO_REGISTER = 2;

    private static final List<String> SRVS =
        List.of("4.1.1", "4.2", "4.6.1", "4.6.2", "4.8.1", "4.8.3", "4.17", "5.1", "5.2", "5.3", "8.2");
    private static final List<String> GENERATIONS = List.of("SMETS1", "SMETS2");
    private static final List<String> MODES = List.of("scheduled", "onDemand");
    private static final List<String> SERVICES = List.of("existing", "mhhs");
    private static final List<String> ROLES = List.of("IS", "ES", "MDR", "GS", "GT", "ED", "OU", "RSA");

    private final boolean[] isKnown = new boolean[SRVS.size() + 1];
    private final boolean[] isDaily = new boolean[SRVS.size() + 1];
    private final int[] register = new int[SRVS.size() + 1];
    private final boolean[] isEligible = new boolean[SRVS.size() + 1 << 6];

    Matrix(File file) throws IOException {
        for (JsonNode row : new ObjectMapper().readTree(file).get("services")) {
            final int srv = SRVS.indexOf(row.get("srv").asText());
            isKnown[srv] = true;
            isDaily[srv] = row.get("data").asText().equals("daily-log");
            register[srv] = row.get("register").isNull() ? NO_REGISTER : List.of("import", "export").indexOf(row.get("register").asText());
            addCells(srv, row.get("trtSeconds"));
        }
    }

    boolean isKnown(int srv) {
        return isKnown[srv];
    }

    boolean isDaily(int srv) {
        return isDaily[srv];
    }

    int register(int srv) {
        return register[srv];
    }

    boolean isEligible(int srv, int generation, int mode, int service, int role) {
        return isEligible[cell(srv, generation, mode, service, role)];
    }

    boolean isEligibleSomewhere(int srv, int mode, int service, int role) {
        return isEligible(srv, 0, mode, service, role) || isEligible(srv, 1, mode, service, role);
    }

    private void addCells(int srv, JsonNode cells) {
        for (int service = 0; service < SERVICES.size(); service++) {
            final JsonNode ofService = cells.get(SERVICES.get(service));
            for (JsonNode role : ofService.get("roles")) {
                for (int generation = 0; generation < GENERATIONS.size(); generation++) {
                    for (int mode = 0; mode < MODES.size(); mode++) {
                        final JsonNode seconds = ofService.get(GENERATIONS.get(generation)).get(MODES.get(mode));
                        final int at = cell(srv, generation, mode, service, ROLES.indexOf(role.asText()));
                        isEligible[at] = !seconds.isNull();
                    }
                }
            }
        }
    }

    private static int cell(int srv, int generation, int mode, int service, int role) {
        return srv << 6 | generation << 5 | mode << 4 | service << 3 | role;
    }
}
