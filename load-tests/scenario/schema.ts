/**
 * The JSON Schema of a scenario file: what is checked, the defaults, the editor's completion and
 * docs/reference/scenario.md all come from here. Defaults marked [assumption] have no public source.
 */
const share = { type: 'number', minimum: 0, maximum: 1 } as const;
const count = { type: 'integer', minimum: 1 } as const;
const DAYS_MAX = 366;
const WINDOW = '^([01]\\d|2[0-3]):[0-5]\\d-(([01]\\d|2[0-3]):[0-5]\\d|24:00)$';
const DATE = '^\\d{4}-\\d{2}-\\d{2}$';

function timeWindow(description: string, fallback?: string) {
  const base = { type: 'string', pattern: WINDOW, description };
  return fallback === undefined ? base : { ...base, default: fallback };
}

function day(description: string, fallback: string | null) {
  return { type: ['string', 'null'], pattern: DATE, description, default: fallback };
}

function closed(properties: Record<string, object>, required: string[] = [], description?: string) {
  return {
    type: 'object',
    additionalProperties: false,
    properties,
    ...(required.length > 0 ? { required } : {}),
    ...(description === undefined ? {} : { description }),
  };
}

const seconds = { type: 'number', exclusiveMinimum: 0, maximum: 3600 } as const;
const serviceTime = {
  description: 'How long one exchange with a meter takes.',
  type: 'object',
  required: ['distribution'],
  discriminator: { propertyName: 'distribution' },
  oneOf: [
    closed({ distribution: { const: 'lognormal' }, medianSeconds: seconds, p95Seconds: seconds }, [
      'medianSeconds',
      'p95Seconds',
    ]),
    closed({ distribution: { const: 'exponential' }, meanSeconds: seconds }, ['meanSeconds']),
    closed({ distribution: { const: 'constant' }, seconds }, ['seconds']),
  ],
} as const;

function retries(attemptsMax: number, backoffSeconds: number, factor: number) {
  return {
    ...closed({
      attemptsMax: {
        type: 'integer',
        minimum: 1,
        maximum: 15,
        default: attemptsMax,
        description: 'Exchanges tried for one request, the first included. [assumption]',
      },
      backoffSeconds: {
        type: 'number',
        minimum: 0,
        default: backoffSeconds,
        description:
          'Wait after the first failed attempt, drawn between half and one and a half times this. [assumption]',
      },
      factor: {
        type: 'number',
        minimum: 1,
        maximum: 10,
        default: factor,
        description: 'Each later wait is this many times the one before. [assumption]',
      },
      giveUpSeconds: {
        type: 'number',
        minimum: 1,
        default: 90_000,
        description:
          'A request older than this when its turn comes is answered E21 without another exchange; the default is an hour past the longest TRT. [assumption]',
      },
    }),
    default: {},
  };
}

const fleet = {
  ...closed(
    {
      meters: { ...count, maximum: 50_000_000, description: 'ESMEs in the fleet.' },
      metersPerCell: {
        ...count,
        maximum: 100_000,
        default: 5000,
        description: 'Meters that share one cell of a network. [assumption]',
      },
      exportShare: {
        ...share,
        default: 0.05,
        description: 'Share of homes with an export MPAN beside the import MPAN. [assumption]',
      },
      suspendedShare: {
        ...share,
        default: 0.001,
        description: 'Share of ESMEs that the SMI holds as suspended: requests to them are refused E5. [assumption]',
      },
      notCommunicatingShare: {
        ...share,
        default: 0.09,
        description:
          'Share of meters that do not communicate at any instant (about 9 % of smart meters in March 2025).',
      },
      spellDays: {
        ...count,
        maximum: 3650,
        default: 30,
        description: 'Days for which a meter stays communicating or not. [assumption]',
      },
      intermittentShare: {
        ...share,
        default: 0.25,
        description: 'Of the meters that do not communicate, the share that comes back within hours. [assumption]',
      },
      intermittentHours: {
        type: 'number',
        minimum: 0.1,
        maximum: 240,
        default: 4,
        description: 'Hours for which an intermittent meter stays communicating or not. [assumption]',
      },
    },
    ['meters'],
  ),
};

const network = closed(
  {
    name: { type: 'string', minLength: 1, maxLength: 40, description: 'As shown in reports.' },
    generation: { enum: ['SMETS1', 'SMETS2'], description: 'Generation of the meters it reaches.' },
    share: { ...share, description: "Share of the fleet's meters; the networks' shares add up to 1. [assumption]" },
    exchangesPerCell: {
      ...count,
      maximum: 10_000,
      default: 2,
      description: 'Concurrent exchanges with meters in one cell. [assumption]',
    },
    startsPerSecondPerCell: {
      type: ['number', 'null'],
      exclusiveMinimum: 0,
      default: null,
      description: 'Cap on exchange starts a second in one cell; null for none. [assumption]',
    },
    serviceTime: {
      ...serviceTime,
      default: { distribution: 'lognormal', medianSeconds: 4, p95Seconds: 10 },
      description: 'Time of one exchange, for SRVs without one of their own. [assumption]',
    },
    serviceTimes: {
      type: 'object',
      additionalProperties: serviceTime,
      default: {},
      description: 'Time of one exchange by SRV. [assumption]',
    },
    noAnswerSeconds: {
      ...seconds,
      default: 8,
      description: 'How long an attempt holds its exchange when the meter does not answer. [assumption]',
    },
    attemptFailureShare: {
      ...share,
      default: 0.01,
      description: 'Share of attempts at a communicating meter that fail all the same. [assumption]',
    },
    retries: {
      ...closed({ scheduled: retries(3, 1800, 1), onDemand: retries(2, 1, 1) }),
      default: {},
    },
  },
  ['name', 'generation', 'share'],
);

const user = closed(
  {
    name: { type: 'string', minLength: 1, maxLength: 60 },
    mpid: {
      type: 'string',
      pattern: '^[A-Z]{4}$',
      description: 'Market Participant Identifier, four capital letters.',
    },
    role: { enum: ['MDR', 'IS', 'ES'], description: 'User role: MDR agent, Import Supplier or Export Supplier.' },
    share: {
      ...share,
      description:
        'IS: share of meters it supplies. ES: share of export MPANs. MDR: share of the meters whose Supplier is not its own MDRA. Shares of one role add up to 1. [assumption]',
    },
    ownMdraShare: {
      ...share,
      default: 0,
      description: 'IS only: share of its meters for which it is its own MDRA. [assumption]',
    },
    granularity: {
      ...closed(
        { halfHourly: share, daily: share, monthly: share },
        ['halfHourly', 'daily', 'monthly'],
        'Shares of meters by the granularity that the customer has consented to; they add up to 1. [assumption]',
      ),
      default: { halfHourly: 0.8, daily: 0.15, monthly: 0.05 },
    },
    dailySrv: {
      enum: ['4.6.1', '4.17'],
      default: '4.6.1',
      description: 'SRV that fetches a daily read on SMETS2; SMETS1 has 4.6.1 only.',
    },
    scheduleWindow: timeWindow(
      "Execution start times of the User's schedules, spread evenly over this window. [assumption]",
      '00:30-06:30',
    ),
    onDemandWindow: timeWindow(
      'When the User sends what it sends on demand of its own accord. [assumption]',
      '08:00-20:00',
    ),
    firstAttemptOnDemandShare: {
      ...share,
      default: 0,
      description: 'Share of daily data sets first asked for on demand, which MP162 section 2.6.4 rules out.',
    },
    reRequests: {
      ...closed({
        max: {
          type: 'integer',
          minimum: 0,
          maximum: 20,
          default: 2,
          description: 'On-demand re-requests for one data set after a failure. [assumption]',
        },
        afterMinutes: { type: 'number', minimum: 0, default: 60, description: 'Wait before each. [assumption]' },
        spreadMinutes: {
          type: 'number',
          minimum: 0,
          default: 120,
          description: 'The wait is longer by up to this much. [assumption]',
        },
      }),
      default: {},
    },
    onboarding: {
      ...closed({
        acceded: day('Day its Party acceded to the SEC; null: not yet.', '2000-01-01'),
        uept: day('Day it completed User Entry Process Testing for its role; null: not yet.', '2000-01-01'),
        securityAssessments: {
          type: 'array',
          items: { type: 'string', pattern: DATE },
          maxItems: 100,
          description: 'Days of its User Security Assessments, each current for a year; absent: always current.',
        },
        privacyAssessments: {
          type: 'array',
          items: { type: 'string', pattern: DATE },
          maxItems: 100,
          description: 'Days of its Privacy Assessments; absent: always current.',
        },
        adtDeclared: day('Day it declared its Anomaly Detection Thresholds; null: not yet.', '2000-01-01'),
        suspendedFrom: day('Day from which the User is suspended; null: it is not.', null),
      }),
      default: {},
    },
    forecastPerDay: {
      type: ['number', 'null'],
      minimum: 0,
      default: null,
      description: 'Requests a day that the User forecast; the report sets them beside those made.',
    },
  },
  ['name', 'mpid', 'role', 'share'],
);

const existing = {
  ...closed({
    reads: {
      type: 'array',
      maxItems: 50,
      description:
        'Service Requests of Suppliers for existing services on the same networks; those for export come from Export Suppliers. [assumption]',
      default: [
        { srv: '4.8.1', mode: 'scheduled', perMeterDay: 0.1, window: '00:00-24:00' },
        { srv: '4.6.1', mode: 'scheduled', perMeterDay: 0.1, window: '00:00-24:00' },
        { srv: '4.1.1', mode: 'on-demand', perMeterDay: 0.02, window: '07:00-22:00' },
        { srv: '4.8.1', mode: 'on-demand', perMeterDay: 0.005, window: '07:00-22:00' },
        { srv: '8.2', mode: 'on-demand', perMeterDay: 0.01, window: '07:00-22:00' },
      ],
      items: closed(
        {
          srv: { type: 'string', description: 'An SRV of the matrix.' },
          mode: { enum: ['scheduled', 'on-demand'] },
          perMeterDay: { type: 'number', minimum: 0, maximum: 48, description: 'Requests a meter a day.' },
          window: timeWindow('When they are made.', '00:00-24:00'),
        },
        ['srv', 'mode', 'perMeterDay'],
      ),
    },
    other: {
      type: 'array',
      maxItems: 20,
      description: 'Traffic that holds exchanges and is not judged: top-ups, tariff updates, alerts, gas. [assumption]',
      default: [
        {
          perMeterDay: 0.3,
          window: '00:00-24:00',
          lane: 'scheduled',
          serviceTime: { distribution: 'lognormal', medianSeconds: 3, p95Seconds: 8 },
        },
        {
          perMeterDay: 0.1,
          window: '06:00-23:00',
          lane: 'on-demand',
          serviceTime: { distribution: 'lognormal', medianSeconds: 3, p95Seconds: 8 },
        },
      ],
      items: closed(
        {
          perMeterDay: { type: 'number', minimum: 0, maximum: 1000, description: 'Exchanges a meter a day.' },
          window: timeWindow('When they are made.', '00:00-24:00'),
          lane: {
            enum: ['scheduled', 'on-demand'],
            default: 'scheduled',
            description: 'Priority class that it travels in.',
          },
          serviceTime,
        },
        ['perMeterDay', 'serviceTime'],
      ),
    },
  }),
  default: {},
  description: "The existing services' load on the same networks.",
};

const change = closed(
  {
    day: {
      ...count,
      maximum: DAYS_MAX,
      description: 'Day of the run at whose 00:00 the change takes effect (the EFD); 1 is the first.',
    },
    share: { ...share, description: "Share of the outgoing agent's meters that change." },
    from: { type: 'string', pattern: '^[A-Z]{4}$', description: 'MPID of the outgoing MDRA.' },
    to: { type: 'string', pattern: '^[A-Z]{4}$', description: 'MPID of the incoming MDRA.' },
    window: timeWindow('When both send their on-demand requests on the EFD. [assumption]', '00:00-02:00'),
    outgoingReadsLastDayShare: {
      ...share,
      default: 1,
      description:
        'Share for which the outgoing agent, its schedule removed, asks on demand for its last day. [assumption]',
    },
    outgoingOverreachShare: {
      ...share,
      default: 0.02,
      description:
        "Share for which the outgoing agent goes on asking, a day later, for the incoming agent's day: refused E4. [assumption]",
    },
    incomingOverreachShare: {
      ...share,
      default: 0.05,
      description: 'Share for which the incoming agent asks on the EFD for the day before: refused E4. [assumption]',
    },
  },
  ['day', 'share', 'from', 'to'],
);

const burst = closed(
  {
    user: { type: 'string', pattern: '^[A-Z]{4}$', description: 'MPID of the User.' },
    srv: { type: 'string', description: 'An SRV of the matrix that may be requested on demand.' },
    day: { ...count, maximum: DAYS_MAX, default: 1, description: 'Day of the run; 1 is the first.' },
    window: timeWindow('When the requests are made.'),
    share: { ...share, description: "Share of the User's meters that it asks on demand." },
  },
  ['user', 'srv', 'window', 'share'],
);

const outage = closed(
  {
    network: { type: 'string', description: 'Name of the network.' },
    startHour: { type: 'number', minimum: 0, description: 'Hours after 00:00 of the first day.' },
    hours: { type: 'number', exclusiveMinimum: 0, maximum: 2000 },
    recoveryMinutes: {
      type: 'number',
      minimum: 0,
      maximum: 10_000,
      default: 0,
      description: 'Exchanges come back one by one over this time. [assumption]',
    },
    cellsShare: { ...share, default: 1, description: "Share of the network's cells that are out." },
  },
  ['network', 'startHour', 'hours'],
);

export const SCENARIO_SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'mdr-stream scenario',
  ...closed(
    {
      $schema: { type: 'string', description: 'Path of this schema, for editors.' },
      name: {
        type: 'string',
        pattern: '^[a-z0-9][a-z0-9-]{0,59}$',
        description: 'Short name: lower case, digits and hyphens.',
      },
      title: { type: 'string', default: '', maxLength: 120, description: 'One line for reports.' },
      description: { type: 'string', default: '', maxLength: 2000 },
      seed: { type: 'integer', minimum: 0, maximum: 4294967295, default: 1, description: 'Same seed, same run.' },
      firstDay: {
        type: 'string',
        pattern: DATE,
        default: '2026-03-02',
        description: 'First day of the run, midnight UTC.',
      },
      days: { ...count, maximum: DAYS_MAX, default: 1, description: 'Days whose requests are counted.' },
      warmUpHours: {
        type: 'integer',
        minimum: 0,
        maximum: 240,
        default: 24,
        description:
          'How much of the time before the first day is simulated, uncounted, so that the run starts from the state of the day before.',
      },
      matrix: {
        type: 'string',
        default: 'mp162-v0.4',
        description: 'SR/TRT matrix: a built-in name, or a file beside the scenario.',
      },
      dayConvention: {
        enum: ['utc', 'local'],
        default: 'utc',
        description:
          'Settlement Days by UTC (always 48 intervals) or by Europe/London (46 and 50 at the clock changes). Open in MP162. [assumption]',
      },
      errorsCountAsWithinTrt: {
        type: 'boolean',
        default: true,
        description:
          'Whether an answer of E20 or E21 in time counts as within TRT; the report shows them apart either way. [assumption]',
      },
      fleet,
      networks: {
        type: 'array',
        minItems: 1,
        maxItems: 20,
        items: network,
        default: [
          { name: 'CSP North', generation: 'SMETS2', share: 0.2 },
          { name: 'CSP Central', generation: 'SMETS2', share: 0.2 },
          { name: 'CSP South', generation: 'SMETS2', share: 0.2 },
          {
            name: 'S1SP',
            generation: 'SMETS1',
            share: 0.4,
            serviceTime: { distribution: 'lognormal', medianSeconds: 3, p95Seconds: 7 },
            noAnswerSeconds: 6,
          },
        ],
      },
      platform: {
        ...closed({
          latencyMs: {
            type: 'integer',
            minimum: 0,
            maximum: 60_000,
            default: 50,
            description: "The platform's own time on each request beside the network's. [assumption]",
          },
          dccOnlyMedianMs: {
            type: 'number',
            exclusiveMinimum: 0,
            maximum: 600_000,
            default: 200,
            description: 'Median time of a request that the platform answers itself (5.1, 5.2, 5.3, 8.2). [assumption]',
          },
          dccOnlyP95Ms: {
            type: 'number',
            exclusiveMinimum: 0,
            maximum: 600_000,
            default: 800,
            description: '95th percentile of the same. [assumption]',
          },
        }),
        default: {},
      },
      users: { type: 'array', minItems: 1, maxItems: 200, items: user },
      existing,
      changes: { type: 'array', maxItems: 1000, items: change, default: [], description: 'Changes of MDRA.' },
      bursts: {
        type: 'array',
        maxItems: 1000,
        items: burst,
        default: [],
        description: 'On-demand requests beyond the daily routine.',
      },
      outages: { type: 'array', maxItems: 1000, items: outage, default: [] },
      anomaly: {
        ...closed({
          periodSeconds: {
            type: 'integer',
            minimum: 60,
            maximum: 86_400,
            default: 3600,
            description: 'Period over which on-demand requests are counted. [assumption]',
          },
          thresholdPerMeter: {
            type: 'number',
            exclusiveMinimum: 0,
            maximum: 1000,
            default: 0.25,
            description:
              "A User's threshold for one SRV and period, as requests a meter of its portfolio. [assumption]",
          },
          answer: {
            enum: ['hold', 'process', 'delete'],
            default: 'hold',
            description: 'What the User does with its quarantined requests. [assumption]',
          },
          answerAfterMinutes: {
            type: 'number',
            minimum: 0,
            maximum: 10_080,
            default: 60,
            description: 'After how long. [assumption]',
          },
        }),
        default: {},
        description: 'Anomaly Detection Thresholds.',
      },
      measures: {
        ...closed({
          target: { ...share, default: 0.99, description: 'Target of the Code Performance Measures. [assumption]' },
          minimum: { ...share, default: 0.96, description: 'Minimum service level of the same. [assumption]' },
        }),
        default: {},
      },
      thresholds: {
        type: 'array',
        minItems: 1,
        maxItems: 200,
        items: { type: 'string', maxLength: 200 },
        default: ['withinTrt{mode=scheduled} >= 0.99', 'withinTrt{mode=on-demand} >= 0.99'],
        description: 'What must hold, one by one, as `withinTrt{mode=on-demand} >= 0.99`.',
      },
    },
    ['name', 'fleet', 'users'],
  ),
} as const;
