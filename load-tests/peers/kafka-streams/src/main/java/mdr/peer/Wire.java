package mdr.peer;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/** Confluent's wire format: a zero, four bytes of schema id, then Avro. */
final class Wire {
    static final int HEADER = 5;

    private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);

    private Wire() {}

    static long euiAt(byte[] bytes, int at) {
        return (long) LONG.get(bytes, at);
    }

    static void putEui(byte[] bytes, int at, long eui) {
        LONG.set(bytes, at, eui);
    }

    static void putHeader(byte[] bytes, int schemaId) {
        bytes[0] = 0;
        INT.set(bytes, 1, schemaId);
    }
}
