package mdr.peer;

import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

import java.io.File;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;

/**
 * `Peer --brokers ... --prefix ... --requests N --passes P ...`: decides N requests P times over, each time as a group
 * of its own, and prints a JSON line a time: the first is that of a cold JVM.
 */
public final class Peer {
    private Peer() {}

    public static void main(String[] args) throws Exception {
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "warn");
        final Map<String, String> given = new HashMap<>();
        for (int k = 0; k + 1 < args.length; k += 2) given.put(args[k].substring(2), args[k + 1]);
        final Users users = new Users(new File(given.get("users")));
        final Matrix matrix = new Matrix(new File(given.get("matrix")));
        final Answers answers = new Answers(
            Integer.parseInt(given.get("device-request-schema")), Integer.parseInt(given.get("service-response-schema")));
        if (given.containsKey("check")) {
            DecisionCheck.run(progress -> PeerTopology.build("", users, matrix, answers, progress));
            return;
        }
        final int passes = Integer.parseInt(given.get("passes"));
        for (int pass = 1; pass <= passes; pass++) {
            final Progress progress = new Progress(Long.parseLong(given.get("requests")));
            final Topology topology = PeerTopology.build(given.get("prefix"), users, matrix, answers, progress);
            final Properties settings = settings(given);
            final String group = given.get("application-id") + "-" + pass;
            settings.put("application.id", group);
            TablesRead.commit(given.get("brokers"), group, PeerTopology.tables(given.get("prefix")));
            if (!run(topology, settings, progress)) System.exit(1);
        }
    }

    private static boolean run(Topology topology, Properties settings, Progress progress) throws InterruptedException {
        try (KafkaStreams streams = new KafkaStreams(topology, settings, new CountingClients(progress))) {
            streams.setUncaughtExceptionHandler(error -> {
                error.printStackTrace();
                progress.fail();
                return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.start();
            final String result = progress.await();
            if (result == null) return false;
            System.out.println(result);
            return true;
        }
    }

    private static Properties settings(Map<String, String> given) {
        final Properties settings = new Properties();
        settings.put("bootstrap.servers", given.get("brokers"));
        settings.put("state.dir", given.get("state-dir"));
        settings.put("num.stream.threads", given.getOrDefault("threads", "1"));
        settings.put("processing.guarantee", "at_least_once");
        settings.put("statestore.cache.max.bytes", "0");
        settings.put("enable.metrics.push", "false");
        settings.put("max.task.idle.ms", "-1");
        settings.put("buffered.records.per.partition", "10000");
        settings.put("consumer.max.poll.records", "10000");
        settings.put("consumer.fetch.min.bytes", "65536");
        settings.put("consumer.max.partition.fetch.bytes", "4194304");
        settings.put("consumer.receive.buffer.bytes", "1048576");
        settings.put("producer.linger.ms", "50");
        settings.put("producer.batch.size", "262144");
        settings.put("producer.buffer.memory", "134217728");
        settings.put("producer.send.buffer.bytes", "1048576");
        for (Map.Entry<String, String> one : given.entrySet()) {
            if (one.getKey().startsWith("set.")) settings.put(one.getKey().substring(4), one.getValue());
        }
        return settings;
    }
}
