package mdr.peer;

import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;

/** Joins a request with both tables, decides it, and sends it on or answers it. */
final class AccessProcessor implements Processor<byte[], byte[], byte[], byte[]> {
    private static final Duration LOOK_AT_PROGRESS = Duration.ofMillis(20);
    private static final int COUNTED_AT_ONCE = 64;

    private final Users users;
    private final Matrix matrix;
    private final Answers answers;
    private final Progress progress;
    private final ServiceRequest request = new ServiceRequest();

    private ProcessorContext<byte[], byte[]> context;
    private AccessDecision decision;
    private int accepted;
    private int refused;
    private boolean hasAskedForCommit;

    AccessProcessor(Users users, Matrix matrix, Answers answers, Progress progress) {
        this.users = users;
        this.matrix = matrix;
        this.answers = answers;
        this.progress = progress;
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        final RegistrationStore registrations = context.getStateStore(RegistrationStore.NAME);
        final InventoryStore inventory = context.getStateStore(InventoryStore.NAME);
        decision = new AccessDecision(users, matrix, registrations, inventory);
        context.schedule(LOOK_AT_PROGRESS, PunctuationType.WALL_CLOCK_TIME, now -> lookAtProgress());
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        final byte[] value = record.value();
        if (value == null) return;
        try {
            request.read(value);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        if (request.kind != ServiceRequest.KIND_REQUEST) return;
        final RecordMetadata from = context.recordMetadata().orElseThrow();
        final int fact = decision.decide(request);
        if (fact == AccessDecision.ACCEPTED) {
            accepted++;
            final byte[] onward = answers.deviceRequest(value, decision.generation, from.partition(), from.offset());
            context.forward(record.withValue(onward), PeerTopology.ACCEPTED);
        } else {
            refused++;
            final byte[] answer = answers.refusal(request, fact, decision.generation, from.offset());
            context.forward(record.withValue(answer), PeerTopology.REFUSED);
        }
        if (accepted + refused == COUNTED_AT_ONCE) count();
    }

    private void count() {
        progress.decided(accepted, refused);
        accepted = 0;
        refused = 0;
    }

    // The last outputs are flushed at once instead of at the next commit, so that the end is seen when it is there.
    private void lookAtProgress() {
        count();
        if (!progress.isAllDecided() || hasAskedForCommit) return;
        hasAskedForCommit = true;
        context.commit();
    }
}
