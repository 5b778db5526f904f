package mdr.peer;

import com.sun.management.OperatingSystemMXBean;

import java.lang.management.ManagementFactory;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;

/** What was decided and acknowledged, and the clocks at 10 % of the work and at its end. */
final class Progress {
    private static final OperatingSystemMXBean PROCESS =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    private record Stamp(long nanos, long cpuNanos, long decided) {
        static Stamp now(long decided) {
            return new Stamp(System.nanoTime(), PROCESS.getProcessCpuTime(), decided);
        }
    }

    private final long expected;
    private final AtomicLong decided = new AtomicLong();
    private final AtomicLong accepted = new AtomicLong();
    private final AtomicLong acknowledged = new AtomicLong();
    private final CountDownLatch end = new CountDownLatch(1);
    private volatile Stamp start;
    private volatile Stamp last;

    Progress(long expected) {
        this.expected = expected;
    }

    void decided(int acceptedNow, int refusedNow) {
        final int now = acceptedNow + refusedNow;
        if (now == 0) return;
        accepted.addAndGet(acceptedNow);
        final long total = decided.addAndGet(now);
        final long tenth = expected / 10;
        if (total >= tenth && total - now < tenth) start = Stamp.now(total);
    }

    void acknowledged(long records) {
        if (acknowledged.addAndGet(records) < expected || end.getCount() == 0) return;
        last = Stamp.now(expected);
        end.countDown();
    }

    boolean isAllDecided() {
        return decided.get() >= expected;
    }

    void fail() {
        end.countDown();
    }

    /** The result as a line of JSON, once all outputs are acknowledged; null when the application has failed. */
    String await() throws InterruptedException {
        end.await();
        if (last == null) return null;
        final double wallSeconds = (last.nanos - start.nanos) / 1e9;
        final double cpuSeconds = (last.cpuNanos - start.cpuNanos) / 1e9;
        final long counted = last.decided - start.decided;
        return String.format(
            "{\"processed\":%d,\"accepted\":%d,\"refused\":%d,\"counted\":%d,\"wallSeconds\":%.3f,\"cpuSeconds\":%.3f,"
                + "\"perSecond\":%.0f,\"perCpuSecond\":%.0f}",
            decided.get(), accepted.get(), decided.get() - accepted.get(), counted, wallSeconds, cpuSeconds,
            counted / wallSeconds, counted / cpuSeconds);
    }
}
