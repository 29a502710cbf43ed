// What encryption costs between two machines: the same stream and the same connections on an encrypted network and on one in
// clear, by turns. By whichever means both kernels have: the rows say which.
import { randomBytes } from 'node:crypto';
import type { OverlayPair, OverlayState } from '../../runtime/network/contract.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import type { LabMachine } from '../support/network-lab.ts';
import { joinInside } from './network-balancing.ts';
import { quantile, type Row } from './network-rows.ts';

const NETWORK = {
  id: 'bench00000000000000000003',
  name: 'sealed',
  vni: 4244,
  port: 0,
  subnet: '10.68.0.0/24',
  gateway: '10.68.0.1',
  internal: false,
  attachable: false,
  options: { encrypted: '' },
} as const;
const PLACES = ['10.68.0.3', '10.68.0.4'] as const;
const ROUNDS = 5;

export type Two = readonly [readonly [LabMachine, MachineNetworks], readonly [LabMachine, MachineNetworks]];

/** Of one way: what one stream carries, and how long a connection and its first byte take. */
export interface Measured {
  readonly gigabits: number;
  readonly p50us: number;
}

interface Place {
  readonly from: string;
  readonly to: string;
}

/** `serve` answers at a sandbox; `measure` takes one round. */
export async function encryption(
  two: Two,
  clear: Place,
  { serve, measure }: { serve: (path: string) => Promise<void>; measure: (place: Place) => Measured },
): Promise<Row[]> {
  const [[, first], [, second]] = two;
  await tell(two);
  const here = await joinInside(first, NETWORK.id, PLACES[0]);
  const there = await joinInside(second, NETWORK.id, PLACES[1]);
  await serve(there.sandboxPath);
  const sealed = { from: here.sandboxPath, to: PLACES[1] };
  const rounds = Array.from({ length: ROUNDS }, () => ({ clear: measure(clear), sealed: measure(sealed) }));
  const [pair] = await first.overlays.pairs(NETWORK.id);
  for (const [networks, endpoint] of [
    [first, here],
    [second, there],
  ] as const) {
    await networks.leave(endpoint, { keepSandbox: true });
    await networks.overlays.drop(NETWORK.id);
  }
  return rowsOf(rounds, pair?.means ?? 'none');
}

function rowsOf(rounds: readonly { clear: Measured; sealed: Measured }[], means: OverlayPair['means']): Row[] {
  const half = (values: readonly number[]): number => quantile(values, 0.5);
  const stream = half(rounds.map(({ sealed }) => sealed.gigabits));
  const inClear = half(rounds.map(({ clear }) => clear.gigabits));
  const wait = half(rounds.map(({ sealed }) => sealed.p50us));
  const waitInClear = half(rounds.map(({ clear }) => clear.p50us));
  return [
    {
      what: `one stream between nodes, encrypted by ${means}, beside one in clear`,
      measured: `${stream.toFixed(2)} of ${inClear.toFixed(1)} Gbit/s, ${((stream / inClear) * 100).toFixed(0)} %`,
      goal: '≥ 1 Gbit/s',
    },
    {
      what: 'connection and first byte there, over one in clear, p50',
      measured: `${wait.toFixed(0)} − ${waitInClear.toFixed(0)} = ${(wait - waitInClear).toFixed(0)} µs`,
      goal: 'none was set',
    },
  ];
}

/** As a swarm does: of the keys first, and then of what both nodes said of themselves. */
async function tell(two: Two): Promise<void> {
  const ring = { keys: [{ id: 1, secret: randomBytes(32).toString('hex') }], sendId: 1 };
  for (const index of [1, 2]) {
    const nodes = two.map(([{ address }, { overlays }], at) => {
      const life = overlays.lives()[NETWORK.id];
      const wireguardPort = overlays.wireguardPorts()[NETWORK.id];
      const ready = { ...(life !== undefined && { life }), ...(wireguardPort !== undefined && { wireguardPort }) };
      return { id: `node${at}`, address, port: 4789, means: overlays.offered(), ...ready };
    });
    await Promise.all(two.map(([, { overlays }], own) => overlays.apply(index, stateFor(nodes, own, ring))));
  }
}

type Node = NonNullable<OverlayState['endpoints'][number]['node']>;

function stateFor(
  nodes: readonly Node[],
  own: number,
  ring: Pick<NonNullable<OverlayState['encryption']>, 'keys' | 'sendId'>,
): OverlayState {
  const [self] = nodes.slice(own);
  const endpoints = nodes.map((node, at) => ({
    address: PLACES[at] ?? '',
    lost: false,
    ...(at !== own && { node }),
  }));
  const encryption = { nodeId: `node${own}`, ...ring, ...(self && { self }) };
  return { network: NETWORK, endpoints, services: [], names: [], encryption };
}
