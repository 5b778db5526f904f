package mdr.peer;

import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.streams.processor.internals.DefaultKafkaClientSupplier;

import java.util.Map;
import java.util.concurrent.Future;

/** Producers that tell when what they sent is acknowledged, without work for each acknowledgement. */
final class CountingClients extends DefaultKafkaClientSupplier {
    private final Progress progress;

    CountingClients(Progress progress) {
        this.progress = progress;
    }

    @Override
    public Producer<byte[], byte[]> getProducer(Map<String, Object> config) {
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer()) {
            private long sent;

            @Override
            public Future<RecordMetadata> send(ProducerRecord<byte[], byte[]> record, Callback callback) {
                sent++;
                return super.send(record, callback);
            }

            @Override
            public void flush() {
                super.flush();
                progress.acknowledged(sent);
                sent = 0;
            }
        };
    }
}
