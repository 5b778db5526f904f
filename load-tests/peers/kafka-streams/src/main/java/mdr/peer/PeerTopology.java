package mdr.peer;

import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.TimestampExtractor;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;

import java.util.List;

/**
 *     registrations -> store ---.
 *     inventory     -> store ---+
 *     service-requests ---> access-control ---> peer-device-requests
 *                                         `---> peer-responses
 */
final class PeerTopology {
    static final String ACCEPTED = "accepted";
    static final String REFUSED = "refused";

    private static final String REQUESTS = "requests";
    private static final String ACCESS_CONTROL = "access-control";
    /** A task takes the earliest record that it has: an update of a table is never behind a request. */
    private static final TimestampExtractor BEFORE_ALL_REQUESTS = (record, partitionTime) -> 0;

    private PeerTopology() {}

    static List<String> tables(String prefix) {
        return List.of(prefix + "registrations", prefix + "inventory");
    }

    static Topology build(String prefix, Users users, Matrix matrix, Answers answers, Progress progress) {
        final Topology topology = new Topology();
        final ByteArrayDeserializer in = new ByteArrayDeserializer();
        final ByteArraySerializer out = new ByteArraySerializer();
        topology.addSource(REQUESTS, in, in, prefix + "service-requests.scheduled");
        topology.addProcessor(
            ACCESS_CONTROL, () -> new AccessProcessor(users, matrix, answers, progress), REQUESTS);
        topology.addReadOnlyStateStore(
            TableStore.builder(RegistrationStore.NAME, () -> new RegistrationStore(users)),
            "registrations-source", BEFORE_ALL_REQUESTS, in, in, prefix + "registrations", "registrations-update",
            update(RegistrationStore.NAME));
        topology.addReadOnlyStateStore(
            TableStore.builder(InventoryStore.NAME, InventoryStore::new),
            "inventory-source", BEFORE_ALL_REQUESTS, in, in, prefix + "inventory", "inventory-update",
            update(InventoryStore.NAME));
        topology.connectProcessorAndStateStores(ACCESS_CONTROL, RegistrationStore.NAME, InventoryStore.NAME);
        topology.addSink(ACCEPTED, prefix + "peer-device-requests", out, out, ACCESS_CONTROL);
        topology.addSink(REFUSED, prefix + "peer-responses", out, out, ACCESS_CONTROL);
        return topology;
    }

    private static ProcessorSupplier<byte[], byte[], Void, Void> update(String store) {
        return () -> new Processor<>() {
            private TableStore table;

            @Override
            public void init(ProcessorContext<Void, Void> context) {
                table = context.getStateStore(store);
            }

            @Override
            public void process(Record<byte[], byte[]> record) {
                table.put(record.key(), record.value());
            }
        };
    }
}
