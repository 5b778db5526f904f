package mdr.peer;

/** The steps of core/access-control.ts for a scheduled read, with the facts of core FACT. */
final class AccessDecision {
    static final int ACCEPTED = 0;
    /** Position of each fact's code in the schema's ResponseCode. */
    static final int[] CODE = {1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 11, 6, 7, 5, 5};
    static final int GENERATION_UNKNOWN = 2;

    private static final int USER_UNKNOWN = 1;
    private static final int USER_SUSPENDED = 2;
    private static final int CERTIFICATE_MISMATCH = 3;
    private static final int ROLE_NOT_HELD = 4;
    private static final int SRV_UNKNOWN = 10;
    private static final int ROLE_NOT_ELIGIBLE = 11;
    private static final int SERVICE_NOT_ELIGIBLE = 12;
    private static final int MODE_NOT_ELIGIBLE = 13;
    private static final int GENERATION_NOT_ELIGIBLE = 14;
    private static final int DEVICE_UNKNOWN = 15;
    private static final int DEVICE_STATUS = 16;
    private static final int NOT_AN_ESME = 17;
    private static final int NO_MPAN = 18;
    private static final int NOT_APPOINTED = 19;

    private static final int COMMISSIONED = 3;
    private static final long DAY_MS = 86_400_000;
    private static final long HALF_HOUR_MS = 1_800_000;

    private final Users users;
    private final Matrix matrix;
    private final RegistrationStore registrations;
    private final InventoryStore inventory;

    /** Of the last decision. */
    int generation;

    AccessDecision(Users users, Matrix matrix, RegistrationStore registrations, InventoryStore inventory) {
        this.users = users;
        this.matrix = matrix;
        this.registrations = registrations;
        this.inventory = inventory;
    }

    int decide(ServiceRequest request) {
        final int device = inventory.find(request.mpan, request.device);
        generation = device < 0 ? GENERATION_UNKNOWN : inventory.generation(device);
        final int user = users.of(request.originator);
        int fact = authenticate(request, user);
        if (fact == ACCEPTED) fact = users.standingOn(user, request.role, dayOf(request.receivedMs));
        if (fact == ACCEPTED) fact = eligibility(request);
        if (fact == ACCEPTED) fact = checkDevice(device);
        return fact == ACCEPTED ? checkRegistration(request, user, device) : fact;
    }

    private int authenticate(ServiceRequest request, int user) {
        if (user < 0) return USER_UNKNOWN;
        if (dayOf(request.receivedMs) >= users.suspendedFrom(user)) return USER_SUSPENDED;
        if (request.signer != request.originator) return CERTIFICATE_MISMATCH;
        return request.role < Users.ROLES && users.holds(user, request.role) ? ACCEPTED : ROLE_NOT_HELD;
    }

    private int eligibility(ServiceRequest request) {
        final int srv = request.srv;
        if (!matrix.isKnown(srv)) return SRV_UNKNOWN;
        final boolean isEligible = generation == GENERATION_UNKNOWN
            ? matrix.isEligibleSomewhere(srv, request.mode, request.service, request.role)
            : matrix.isEligible(srv, generation, request.mode, request.service, request.role);
        return isEligible ? ACCEPTED : ineligibility(request);
    }

    private int ineligibility(ServiceRequest request) {
        final int srv = request.srv;
        final int role = request.role;
        if (matrix.isEligibleSomewhere(srv, request.mode, request.service, role)) return GENERATION_NOT_ELIGIBLE;
        for (int mode = 0; mode < 2; mode++) {
            if (matrix.isEligibleSomewhere(srv, mode, request.service, role)) return MODE_NOT_ELIGIBLE;
        }
        for (int mode = 0; mode < 2; mode++) {
            for (int service = 0; service < 2; service++) {
                if (matrix.isEligibleSomewhere(srv, mode, service, role)) return SERVICE_NOT_ELIGIBLE;
            }
        }
        return ROLE_NOT_ELIGIBLE;
    }

    private int checkDevice(int device) {
        if (device < 0) return DEVICE_UNKNOWN;
        if (inventory.status(device) != COMMISSIONED) return DEVICE_STATUS;
        return inventory.isEsme(device) ? ACCEPTED : NOT_AN_ESME;
    }

    private int checkRegistration(ServiceRequest request, int user, int device) {
        final int register = matrix.register(request.srv);
        if (register == Matrix.NO_REGISTER) return ACCEPTED;
        if (register != inventory.register(device)) return NO_MPAN;
        final int row = registrations.find(request.mpan);
        if (!registrations.isRegistered(row)) return NO_MPAN;
        final boolean isDaily = matrix.isDaily(request.srv);
        final long stepMs = isDaily ? DAY_MS : HALF_HOUR_MS;
        // Divided by a constant, which is no division: one of 64 bits took as long as a look-up.
        final long firstStamp = -(isDaily ? floorDays(-request.windowStartMs) : floorHalfHours(-request.windowStartMs));
        final long lastStamp = isDaily ? floorDays(request.windowEndMs) : floorHalfHours(request.windowEndMs);
        // A window with no stamp in it asks for the days between its two instants.
        final boolean isEmpty = lastStamp < firstStamp;
        final long first = isEmpty ? Math.min(request.windowStartMs, request.windowEndMs) : (firstStamp - 1) * stepMs;
        final long last = isEmpty ? Math.max(request.windowStartMs, request.windowEndMs) : (lastStamp - 1) * stepMs;
        final boolean isCovered = registrations.covers(row, request.role, user, dayOf(first), dayOf(last));
        return isCovered ? ACCEPTED : NOT_APPOINTED;
    }

    private static int dayOf(long instantMs) {
        return (int) floorDays(instantMs);
    }

    private static long floorDays(long ms) {
        return (ms >= 0 ? ms : ms - DAY_MS + 1) / DAY_MS;
    }

    private static long floorHalfHours(long ms) {
        return (ms >= 0 ? ms : ms - HALF_HOUR_MS + 1) / HALF_HOUR_MS;
    }
}
