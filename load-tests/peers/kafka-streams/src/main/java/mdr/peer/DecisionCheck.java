package mdr.peer;

import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.TopologyTestDriver;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.function.Function;

/** The same topology without a broker: lines `topic key value-in-hex` in, `topic key value-in-hex` out. */
final class DecisionCheck {
    private DecisionCheck() {}

    static void run(Function<Progress, Topology> build) throws Exception {
        final Properties settings = new Properties();
        settings.put("application.id", "check");
        settings.put("bootstrap.servers", "none:1");
        final BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        try (TopologyTestDriver driver = new TopologyTestDriver(build.apply(new Progress(Long.MAX_VALUE)), settings)) {
            final ByteArraySerializer in = new ByteArraySerializer();
            final ByteArrayDeserializer out = new ByteArrayDeserializer();
            final Map<String, TestInputTopic<byte[], byte[]>> inputs = new HashMap<>();
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                final String[] parts = line.split(" ", 3);
                inputs.computeIfAbsent(parts[0], topic -> driver.createInputTopic(topic, in, in)).pipeInput(
                    parts[1].getBytes(StandardCharsets.US_ASCII),
                    parts[2].isEmpty() ? null : HexFormat.of().parseHex(parts[2]));
            }
            for (String topic : List.of("peer-device-requests", "peer-responses")) {
                final TestOutputTopic<byte[], byte[]> output = driver.createOutputTopic(topic, out, out);
                output.readKeyValuesToList().forEach(one -> System.out.println(
                    topic + " " + new String(one.key, StandardCharsets.US_ASCII) + " " + HexFormat.of().formatHex(one.value)));
            }
        }
    }
}
