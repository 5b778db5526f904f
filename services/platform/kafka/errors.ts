/** Every way in which Kafka's bytes or brokers are refused, and whether the same call may succeed later. */
export const KAFKA_ERRORS = {
  /** The checksum does not match: the bytes changed after the producer wrote them. */
  BATCH_CORRUPT: { retriable: false },
  /** The checksum matches, or is not there, and the layout is wrong all the same. */
  BATCH_MALFORMED: { retriable: false },
  /** A batch that only the seam can make readable: compressed, transactional, control or of an old format. */
  BATCH_UNSUPPORTED: { retriable: false },
  /** The offset asked for was deleted, or never written. */
  OFFSET_OUT_OF_RANGE: { retriable: false },
  TOPIC_UNKNOWN: { retriable: false },
  /** The brokers could not be read from, for as long as was tried. */
  READ_FAILED: { retriable: true },
} as const satisfies Record<string, { retriable: boolean }>;
export type KafkaErrorCode = keyof typeof KAFKA_ERRORS;

export class KafkaError extends Error {
  readonly code: KafkaErrorCode;

  constructor(code: KafkaErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'KafkaError';
    this.code = code;
  }

  get retriable(): boolean {
    return KAFKA_ERRORS[this.code].retriable;
  }
}
