// What happens to a node during a history, and how it is undone.
import type { Random } from '../../base/random.ts';
import type { HistoryLab } from './lab.ts';

export interface Fault {
  readonly name: string;
  begin(lab: HistoryLab, node: number, random: Random): void | Promise<void>;
  end(lab: HistoryLab, node: number): void | Promise<void>;
}

const HOUR_MS = 3_600_000;

export const FAULTS: readonly Fault[] = [
  { name: 'kill -9', begin: (lab, node) => lab.kill(node), end: (lab, node) => lab.restart(node) },
  { name: 'SIGSTOP', begin: (lab, node) => lab.freeze(node), end: (lab, node) => lab.thaw(node) },
  { name: 'link down', begin: (lab, node) => lab.link(node, 'down'), end: (lab, node) => lab.link(node, 'up') },
  { name: 'deaf', begin: (lab, node) => lab.deafen(node), end: (lab, node) => lab.undeafen(node) },
  {
    name: 'clock shift',
    begin: (lab, node, random) => lab.shiftClock(node, (random.below(49) - 24) * HOUR_MS),
    end: (lab, node) => lab.shiftClock(node, 0),
  },
];
