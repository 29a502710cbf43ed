// What balancing costs: the change of a service's back ends with all that a network does around it, and apart from that
// the transaction of packet rules, by a netd of its own in a namespace without links, there and back.
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { nativeBinary } from '../../runtime/native/binary.ts';
import { parseAddress } from '../../runtime/network/addresses.ts';
import type { Endpoint, OverlayState } from '../../runtime/network/contract.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import { wantedOf } from '../../runtime/network/overlay-wanted.ts';
import { Netd } from '../../runtime/network/netd.ts';
import { NETLINK_NETFILTER } from '../../runtime/network/netd-protocol.ts';
import { type OverlayRules, planOverlayChange, planOverlayReplacement } from '../../runtime/network/overlay-ruleset.ts';
import { joinContainer, type LabMachine, type NetworkLab } from '../support/network-lab.ts';
import { median, ms, type Row } from './network-rows.ts';

const [VIRTUAL, CLIENT] = ['10.64.0.2', '10.64.0.3'] as const;
const DATAGRAM = `const s = require('dgram').createSocket('udp4'); s.send('hello', 53, '${VIRTUAL}', () => s.close())`;

export async function balancing(
  lab: NetworkLab,
  networks: MachineNetworks,
  plain: OverlayState['network'],
): Promise<Row[]> {
  const network = { ...plain, id: 'bench00000000000000000002', name: 'balanced', vni: 4243 };
  const address = (number: number): string => `10.${64 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
  const hundred = (from: number): string[] => Array.from({ length: 100 }, (_, at) => address(from + at));
  const state = (services: OverlayState['services']): OverlayState => ({
    network,
    endpoints: [],
    services,
    names: [],
  });
  let index = 1;
  const apply = async (services: OverlayState['services']): Promise<number> => {
    const startMs = performance.now();
    await networks.overlays.apply(++index, state(services));
    return performance.now() - startMs;
  };
  const one = (count: number) => [{ virtualAddress: VIRTUAL, targets: hundred(1_000 + (count % 2) * 100) }];
  await apply(one(0));
  const client = await joinInside(networks, network.id, CLIENT);
  const replaced: number[] = [];
  for (let count = 1; count <= 20; count += 1) {
    if (count % 5 === 1) await lab.evaluate(client.sandboxPath, DATAGRAM); // so that there is something to let go
    replaced.push(await apply(one(count)));
  }
  const all = Array.from({ length: 500 }, (_, at) => ({
    virtualAddress: address(100_000 + at),
    targets: hundred(1_000 + at * 100),
  }));
  const loads: number[] = [];
  for (const _ of [1, 2, 3]) {
    loads.push(await apply(all));
    await apply([]);
  }
  await networks.leave(client);
  await networks.overlays.drop(network.id);
  const [rules, others] = [0, 1].map(
    (count) => wantedOf(state(one(count)), { gateway: parseAddress(network.gateway) }).rules,
  );
  const inKernel = rules && others ? await transactionTimes(await lab.machine(), [rules, others]) : [];
  return [
    { what: '100 back ends replaced: the transaction, there and back', measured: ms(median(inKernel)), goal: '≤ 1 ms' },
    {
      what: '100 back ends replaced, from the call until its clients’ datagrams move on',
      measured: ms(median(replaced)),
      goal: 'none was set',
    },
    {
      what: '50 000 back ends of 500 services loaded',
      measured: `${ms(median(loads))}, at first ${ms(loads[0] ?? 0)}`,
      goal: '≤ 500 ms',
    },
  ];
}

/** As a task: it leads outside by its machine's bridge. */
export async function joinInside(networks: MachineNetworks, network: string, address: string): Promise<Endpoint> {
  const { sandboxPath } = await joinContainer(networks);
  return await joinContainer(networks, { network, sandboxPath, address });
}

/** Milliseconds of each change from one set of rules to the other and back again; the plan of it is made before. */
async function transactionTimes(machine: LabMachine, pair: readonly [OverlayRules, OverlayRules]): Promise<number[]> {
  const { path, sourceHash } = await nativeBinary(process.env['SHOAL_TEST_CACHE'] ?? '/tmp/shoal-native-cache');
  const netd = await Netd.start({
    command: 'nsenter',
    args: [`--net=${machine.namespace}`, path, 'netd', sourceHash],
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    onGeneration: () => undefined,
    onLink: () => undefined,
    onHeard: () => undefined,
    onRestart: () => undefined,
  });
  try {
    const [one, other] = pair;
    const there = planOverlayChange(one, other) ?? Buffer.alloc(0);
    const back = planOverlayChange(other, one) ?? Buffer.alloc(0);
    await netd.exchange('loading rules', NETLINK_NETFILTER, planOverlayReplacement(one, { fresh: true }));
    const times: number[] = [];
    for (let count = 0; count < 40; count += 1) {
      const startMs = performance.now();
      await netd.exchange('replacing back ends', NETLINK_NETFILTER, count % 2 === 0 ? there : back);
      times.push(performance.now() - startMs);
    }
    return times;
  } finally {
    await netd.close();
  }
}
