import type { Fact } from '#core/access-control.ts';
import type { Matrix } from '#core/matrix.ts';
import { REGISTERS } from '#core/matrix.ts';
import { partitionOfMpan } from '#core/partition.ts';
import type { DayConvention } from '#core/settlement-day.ts';
import type { RequestReader } from '#schemas/request-reader.ts';
import { Decision } from '#services/platform/access/decision.ts';
import { DeviceIndex } from '#services/platform/access/device-index.ts';
import { createMpanTable, type MpanTable } from '#services/platform/access/mpan-table.ts';
import { applyTableBatches } from '#services/platform/access/table-batches.ts';
import { buildUserDirectory, type UserDirectory } from '#services/platform/access/users.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { feedTables, type TableFeed } from '#services/platform/table-feed.ts';
import { followUsers, type UserFeed, type UserRecord } from '#services/platform/user-feed.ts';

export const IMPORT = REGISTERS.indexOf('import');
export const EXPORT = REGISTERS.indexOf('export');

/**
 * The tables that access control decides by, of all partitions, as one process of the gateway knows them: its answers at
 * the edge are access control's own, as of some milliseconds before. What cannot be used is set aside by access control.
 */
export class GatewayTables {
  readonly devices = new DeviceIndex();
  /** EUI-64 as 16 hexadecimal digits. */
  userRecords: ReadonlyMap<string, UserRecord> = new Map();
  users: UserDirectory;
  readonly #tables: MpanTable[];
  readonly #decision: Decision;
  readonly #partitions: number;
  readonly #walk = new BatchWalk('gateway');
  readonly #feeds: TableFeed[] = [];
  #userFeed: UserFeed | undefined;
  /** Told of every MPAN whose registration has changed. */
  onRegistration: (mpan: number) => void = () => {};

  constructor(matrix: Matrix, convention: DayConvention, partitions: number) {
    this.#partitions = partitions;
    this.#tables = Array.from({ length: partitions }, () => createMpanTable());
    this.users = buildUserDirectory([], partitions);
    this.#decision = new Decision(matrix, convention, this.#tables[0], this.users);
  }

  /** Restores everything, and follows it from then on. */
  async follow(context: ServiceContext): Promise<void> {
    const { kafka, settings, schemaIds, fail } = context;
    this.#userFeed = await followUsers<UserRecord>(context, (records) => {
      this.users = buildUserDirectory(records, this.#partitions);
      this.userRecords = new Map(
        records.map((record) => [Buffer.from(record.eui).toString('hex').toUpperCase(), record]),
      );
    });
    for (let partition = 0; partition < this.#partitions; partition++) {
      const feed = await feedTables(
        kafka,
        settings.prefix,
        ['registrations', 'inventory'],
        partition,
        async ({ topic, batches }) => {
          const name = topic as 'registrations' | 'inventory';
          this.#apply(name, partition, batches, schemaIds[name]);
        },
        fail,
      );
      this.#feeds.push(feed);
    }
    await Promise.all([this.#userFeed.restored, ...this.#feeds.map(({ restored }) => restored)]);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#userFeed?.stop(), ...this.#feeds.map((feed) => feed.stop())]);
  }

  tableOf(mpan: number): MpanTable {
    return this.#tables[partitionOfMpan(mpan, this.#partitions)];
  }

  get mpans(): number {
    return this.#tables.reduce((sum, table) => sum + table.mpans, 0);
  }

  decide(reader: RequestReader): Fact {
    this.#decision.use(this.tableOf(reader.mpan), this.users);
    return this.#decision.decide(reader);
  }

  #apply(topic: 'registrations' | 'inventory', partition: number, batches: Buffer[], schemaId: number): void {
    const table = this.#tables[partition];
    const walk = this.#walk;
    walk.begin({ topic, partition, batches, fromOffset: 0 });
    applyTableBatches(walk, table, topic, schemaId, (mpan, when) => {
      if (topic === 'registrations') {
        if (when === 'after') this.onRegistration(mpan);
        return;
      }
      const at = table.find(mpan);
      if (at < 0 || !table.hasDevice(at)) return;
      const [first, second, register] = [table.deviceFirst(at), table.deviceSecond(at), table.register(at)];
      if (when === 'before') this.devices.clear(first, second, register, mpan);
      else this.devices.set(first, second, register, mpan);
    });
  }
}
