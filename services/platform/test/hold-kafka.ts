import { provideKafka } from '../kafka-provider/provide.ts';

// Holds a Kafka of its own until it is killed: for the test that nothing outlives it.
const { brokers, registryUrl } = await provideKafka({ isOwn: true });
process.stdout.write(`${JSON.stringify({ brokers, registryUrl })}\n`);
setInterval(() => {}, 1_000);
