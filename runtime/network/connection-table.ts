// How full are the kernel's tables of tracked connections? Without room, new connections are dropped in silence. Each
// namespace has a table of its own, of the same size: that of the machine, and one for each network between nodes.
import type { Log } from '../../base/log.ts';
import type { Netd } from './netd.ts';
import type { Step } from './netd-protocol.ts';

const PRESSED_PART = 0.8;
/** Below it a table that was nearly full has room again: one that stays about full is not told of again and again. */
const ROOM_PART = 0.7;

/** Whose connections, and the path of their namespace; '': the machine's own. */
export interface TablePlace {
  readonly whose: string;
  readonly where: string;
}

export interface TableFill {
  readonly whose: string;
  readonly tracked: number;
  readonly most: number;
}

/** Of those that can be read: without packet rules the kernel tracks nothing. */
export async function connectionTables(netd: Netd, places: readonly TablePlace[]): Promise<TableFill[]> {
  const names = ['netfilter/nf_conntrack_count', 'netfilter/nf_conntrack_max'];
  const steps = places.flatMap(({ where }) =>
    names.map((name): Step => ({ do: 'read-sysctl', where, name, mayFail: true })),
  );
  const numbers = (await netd.run(steps)).map(({ errno, bytes }) => (errno === 0 ? Number(bytes.toString()) : NaN));
  return places.flatMap(({ whose }, at) => {
    const [tracked = NaN, most = NaN] = numbers.slice(at * names.length);
    return tracked >= 0 && most > 0 ? [{ whose, tracked, most }] : [];
  });
}

const isPressed = ({ tracked, most }: TableFill): boolean => tracked >= most * PRESSED_PART;
const hasRoom = ({ tracked, most }: TableFill): boolean => tracked < most * ROOM_PART;

/** A sentence for each that is nearly full. */
export function pressureOf(tables: readonly TableFill[]): string[] {
  return tables.filter(isPressed).map(({ whose, tracked, most }) => {
    const state = `the kernel tracks ${tracked} of at most ${most} connections of ${whose}`;
    return `${state}, and drops new ones when there is no room: raise net.netfilter.nf_conntrack_max`;
  });
}

/** Says once that a table is nearly full, and once that it has room again. */
export class ConnectionWatch {
  readonly #log: Pick<Log, 'warn' | 'info'>;
  #pressed: ReadonlySet<string> = new Set();

  constructor(log: Pick<Log, 'warn' | 'info'>) {
    this.#log = log;
  }

  review(tables: readonly TableFill[]): void {
    const pressed = tables.filter((table) => isPressed(table) || (this.#pressed.has(table.whose) && !hasRoom(table)));
    const fresh = pressed.filter(({ whose }) => !this.#pressed.has(whose));
    for (const sentence of pressureOf(fresh))
      this.#log.warn('connections are about to be dropped', { reason: sentence });
    for (const { whose, tracked, most } of tables) {
      if (!this.#pressed.has(whose) || pressed.some((table) => table.whose === whose)) continue;
      this.#log.info('there is room for connections again', { whose, tracked, most });
    }
    this.#pressed = new Set(pressed.map(({ whose }) => whose));
  }
}
