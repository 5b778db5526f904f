package mdr.peer;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.TopicPartition;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;

/**
 * Commits the ends of the tables for a new group, as after a restart: Kafka Streams then restores both stores before
 * it takes a request, and need not compare their records with the requests' one by one to take the tables first.
 */
final class TablesRead {
    private TablesRead() {}

    static void commit(String brokers, String group, List<String> tables) throws ExecutionException, InterruptedException {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", brokers))) {
            final Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
            for (TopicDescription topic : admin.describeTopics(tables).allTopicNames().get().values()) {
                topic.partitions().forEach(one ->
                    asked.put(new TopicPartition(topic.name(), one.partition()), OffsetSpec.latest()));
            }
            final Map<TopicPartition, OffsetAndMetadata> ends = new HashMap<>();
            for (Map.Entry<TopicPartition, ListOffsetsResultInfo> end : admin.listOffsets(asked).all().get().entrySet()) {
                ends.put(end.getKey(), new OffsetAndMetadata(end.getValue().offset()));
            }
            admin.alterConsumerGroupOffsets(group, ends).all().get();
        }
    }
}
