// What outlives the daemon on disk: the networks that there are, and the host's settings as they were before we came.
// Invariant: a setting is on disk before it is changed, so that the end, or a later daemon, can put it back.
import { CodedError } from '../../base/errors.ts';
import {
  applyHostSettings,
  applyIpv6Settings,
  recordHostSettings,
  recordIpv6Settings,
  restoreHostSettings,
} from './host-settings.ts';
import type { Netd } from './netd.ts';
import type { NetworkTable } from './network-table.ts';
import type { HostRecord, NetworkRecord, RegistryFile } from './registry.ts';

export interface RecordParts {
  readonly netd: () => Netd;
  readonly table: NetworkTable;
  readonly file: RegistryFile;
}

export class MachineRecord {
  readonly #parts: RecordParts;
  #host: HostRecord | undefined;

  constructor(parts: RecordParts) {
    this.#parts = parts;
  }

  /** The networks of the daemon before. `startNetd` is called between: a file that can not be read starts nothing. */
  async open(startNetd: () => Promise<void>): Promise<readonly NetworkRecord[]> {
    const registry = await this.#parts.file.load();
    await startNetd();
    this.#host = await recordHostSettings(this.#parts.netd(), registry.host);
    await this.#parts.file.save({ ...registry, host: this.#host });
    return registry.networks;
  }

  async save(): Promise<void> {
    const networks = this.#parts.table.all().map((state) => state.record);
    await this.#parts.file.save({ networks, host: this.#host });
  }

  /** What containers need of the host. */
  async applyHost(): Promise<void> {
    await applyHostSettings(this.#parts.netd());
  }

  /** And what networks with IPv6 need. */
  async letIpv6Pass(): Promise<void> {
    const netd = this.#parts.netd();
    if (!this.#host) throw new CodedError('internal', 'the settings of the host were not recorded');
    this.#host = await recordIpv6Settings(netd, this.#host);
    await this.save();
    await applyIpv6Settings(netd, this.#host);
  }

  /** Unless another daemon, which has a table of its own, still needs what was changed. */
  async restoreHost(ownTable: string): Promise<void> {
    if (this.#host) await restoreHostSettings(this.#parts.netd(), this.#host, ownTable);
  }
}
