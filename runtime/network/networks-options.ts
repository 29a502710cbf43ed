// What the machine's networks are made with.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import type { Upstream } from './contract.ts';

export interface NetworksOptions {
  /** How netd is started, for example { command: '/…/shoal-native', args: ['netd'] }. */
  readonly netd: { readonly command: string; readonly args: readonly string[] };
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The default bridge; name and subnet are chosen when absent. */
  readonly bridge?: { readonly name?: string; readonly subnet?: string; readonly mtu?: number };
  readonly poolSize?: number;
  readonly auditPeriodMs?: number; // 0: never by itself
  /** How often other nodes are asked whether they hear this one. */
  readonly probePeriodMs?: number;
  /** What is asked for names that no network of ours has; absent: what the machine's resolv.conf says. */
  readonly upstreams?: () => Promise<readonly Upstream[]>;
}
