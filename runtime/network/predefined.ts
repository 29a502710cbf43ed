// The networks every machine has: bridge, host, none. As the registry has them, or made anew.
import { newHexId } from '../../base/id.ts';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { formatAddress, formatSubnet, freeSubnet, parseSubnet } from './addresses.ts';
import { checkBridgeName, OPTION, removeOwnBridge, routedSubnets } from './bridges.ts';
import type { Instance } from './instance.ts';
import type { Netd } from './netd.ts';
import type { NetworkRecord } from './registry.ts';

export interface PredefinedParts {
  readonly netd: Netd;
  readonly instance: Instance;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly mtu: number;
  /** What the daemon's options say of the default bridge. */
  readonly bridge: { readonly name?: string; readonly subnet?: string } | undefined;
}

/** The stored networks, completed. */
export async function withPredefined(
  stored: readonly NetworkRecord[],
  parts: PredefinedParts,
): Promise<readonly NetworkRecord[]> {
  const earlier = stored.find((record) => record.name === 'bridge');
  const others = stored.filter((record) => record.name !== 'bridge');
  const bridge = earlier && isAsAsked(earlier, parts) ? earlier : await defaultBridge(others, earlier, parts);
  const missing = (['host', 'none'] as const).filter((name) => !others.some((record) => record.name === name));
  return [bridge, ...others, ...missing.map((name) => withoutBridge(name, parts))];
}

function isAsAsked({ bridge: has }: NetworkRecord, { bridge: asked }: PredefinedParts): boolean {
  return (asked?.name ?? has?.name) === has?.name && (asked?.subnet ?? has?.subnet) === has?.subnet;
}

async function defaultBridge(
  others: readonly NetworkRecord[],
  earlier: NetworkRecord | undefined,
  { netd, instance, clock, random, log, mtu, bridge }: PredefinedParts,
): Promise<NetworkRecord> {
  if (earlier?.bridge) {
    log.warn('the default bridge changes', { from: earlier.bridge, to: bridge });
    await removeOwnBridge(netd, earlier.bridge.name, instance);
  }
  const own = others.flatMap((record) => (record.bridge ? [parseSubnet(record.bridge.subnet)] : []));
  const subnet = bridge?.subnet ? parseSubnet(bridge.subnet) : freeSubnet([...own, ...(await routedSubnets(netd))]);
  const name = checkBridgeName(bridge?.name ?? instance.bridge);
  return {
    id: earlier?.id ?? newHexId(random),
    name: 'bridge',
    driver: 'bridge',
    createdAtMs: earlier?.createdAtMs ?? clock.nowMs(),
    internal: false,
    attachable: false,
    labels: {},
    options: {
      'com.docker.network.bridge.default_bridge': 'true',
      [OPTION.talkInside]: 'true',
      [OPTION.masquerade]: 'true',
      [OPTION.publishOn]: '0.0.0.0',
      [OPTION.bridgeName]: name,
      [OPTION.mtu]: String(mtu),
    },
    bridge: { name, subnet: formatSubnet(subnet), gateway: formatAddress(subnet.base + 1) },
  };
}

function withoutBridge(name: 'host' | 'none', { clock, random }: PredefinedParts): NetworkRecord {
  return {
    id: newHexId(random),
    name,
    driver: name === 'host' ? 'host' : 'null',
    createdAtMs: clock.nowMs(),
    internal: false,
    attachable: false,
    labels: {},
    options: {},
  };
}
