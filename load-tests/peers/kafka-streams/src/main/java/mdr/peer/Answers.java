package mdr.peer;

import org.apache.avro.io.BinaryData;

import java.util.Arrays;

/** Writes what access control decided, in the order of the fields of the two schemas. */
final class Answers {
    private static final int RESPONSE_BYTES_MAX = 256;

    private final int deviceRequestSchema;
    private final int serviceResponseSchema;
    private final byte[] scratch = new byte[RESPONSE_BYTES_MAX];

    Answers(int deviceRequestSchema, int serviceResponseSchema) {
        this.deviceRequestSchema = deviceRequestSchema;
        this.serviceResponseSchema = serviceResponseSchema;
    }

    /** A DeviceRequest begins with the whole request, so that its Avro is copied as it came. */
    byte[] deviceRequest(byte[] request, int generation, int partition, long offset) {
        int end = BinaryData.encodeInt(generation, scratch, 0);
        end += BinaryData.encodeLong(offset, scratch, end);
        end += BinaryData.encodeInt(partition, scratch, end);
        end += BinaryData.encodeLong(offset, scratch, end);
        scratch[end++] = 0;
        final byte[] value = Arrays.copyOf(request, request.length + end);
        System.arraycopy(scratch, 0, value, request.length, end);
        Wire.putHeader(value, deviceRequestSchema);
        return value;
    }

    byte[] refusal(ServiceRequest request, int fact, int generation, long offset) {
        final double nowMs = System.currentTimeMillis();
        Wire.putHeader(scratch, serviceResponseSchema);
        int at = Wire.HEADER;
        // ANSWER, ACCESS_CONTROL
        scratch[at++] = 0;
        scratch[at++] = 0;
        at += BinaryData.encodeInt(request.mode, scratch, at);
        at += BinaryData.encodeLong(offset, scratch, at);
        at += BinaryData.encodeLong(request.mpan, scratch, at);
        Wire.putEui(scratch, at, request.originator);
        Wire.putEui(scratch, at + 8, request.device);
        at += 16;
        at += BinaryData.encodeLong(request.counter, scratch, at);
        at += BinaryData.encodeInt(request.role, scratch, at);
        at += BinaryData.encodeInt(request.srv, scratch, at);
        at += BinaryData.encodeInt(request.service, scratch, at);
        at += BinaryData.encodeInt(generation, scratch, at);
        at += BinaryData.encodeInt(AccessDecision.CODE[fact], scratch, at);
        at += BinaryData.encodeInt(fact, scratch, at);
        at += BinaryData.encodeLong(request.receivedMs, scratch, at);
        scratch[at++] = 0;
        at += BinaryData.encodeLong(request.receivedMs, scratch, at);
        at += BinaryData.encodeDouble(nowMs - request.dueWallMs, scratch, at);
        at += BinaryData.encodeDouble(nowMs, scratch, at);
        // No first stamp, no step, no rows in three lists.
        final int end = at + 5;
        Arrays.fill(scratch, at, end, (byte) 0);
        return Arrays.copyOf(scratch, end);
    }
}
