// How full is the kernel's table of tracked connections? Without room in it, new connections are dropped in silence.
import type { Netd } from './netd.ts';
import type { Step } from './netd-protocol.ts';

const PRESSED_PART = 0.8;

/** A sentence when it is nearly full. */
export async function connectionPressure(netd: Netd): Promise<string[]> {
  const names = ['netfilter/nf_conntrack_count', 'netfilter/nf_conntrack_max'];
  const results = await netd.run(names.map((name): Step => ({ do: 'read-sysctl', where: '', name, mayFail: true })));
  const [count, max] = results.map(({ errno, bytes }) => (errno === 0 ? Number(bytes.toString()) : Number.NaN));
  if (count === undefined || max === undefined || !(max > 0) || !(count >= max * PRESSED_PART)) return [];
  const state = `the kernel tracks ${count} of at most ${max} connections, and drops new ones when there is no room`;
  return [`${state}: raise net.netfilter.nf_conntrack_max`];
}
