// IPv6 on the default bridge, for tasks: a service's published port is asked for by IPv6, too, and who asked is to be seen.
// Other containers there have none, as ever; so the bridge gets it with the first that needs it, and the network's
// record says nothing of it.
import { CodedError, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { formatAddress6, formatSubnet6 } from './addresses.ts';
import { ensureBridge } from './bridges.ts';
import type { Instance } from './instance.ts';
import type { Netd } from './netd.ts';
import { NetworkAddresses6 } from './network-addresses6.ts';
import type { NetworkTable } from './network-table.ts';

const MTU_MIN = 1280;

export interface TasksSixParts {
  readonly netd: () => Netd;
  readonly instance: Instance;
  readonly table: NetworkTable;
  readonly log: Log;
  readonly letIpv6Pass: () => Promise<void>;
}

export class TasksSix {
  readonly #parts: TasksSixParts;
  #opening: Promise<boolean> | undefined;
  #isOpen = false;

  constructor(parts: TasksSixParts) {
    this.#parts = parts;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** False: it can not be, and the log has said why; services are then reached by IPv4. The caller brings the rules. */
  open(): Promise<boolean> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<boolean> {
    try {
      await this.#ensure();
      this.#isOpen = true;
    } catch (error) {
      this.#parts.log.warn('services are not reached by IPv6', { reason: sentenceOf(error) });
    }
    return this.#isOpen;
  }

  async #ensure(): Promise<void> {
    const { netd, instance, table, letIpv6Pass } = this.#parts;
    const state = table.byName('bridge');
    if (!state?.bridge) throw new CodedError('unavailable', 'there is no default bridge');
    const { bridge } = state;
    if (bridge.mtu < MTU_MIN) {
      throw new CodedError('unavailable', `the default bridge carries ${bridge.mtu} bytes, and IPv6 needs ${MTU_MIN}`);
    }
    await letIpv6Pass();
    const subnet = instance.tasks6;
    const gateway = subnet.base + BigInt(bridge.gateway - bridge.subnet.base);
    const withSix = { ...bridge, subnets6: [{ subnet, gateway }] };
    state.bridgeIndex = await ensureBridge(netd(), withSix, instance);
    state.bridge = withSix;
    const pool = { subnet: formatSubnet6(subnet), gateway: formatAddress6(gateway), range: '', auxiliary: {} };
    state.addresses6 = new NetworkAddresses6(state.record.name, [pool]);
  }
}
