// The bridges of this machine's networks, and the parents of those in the LAN: that they are there, with their rules.
import { sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { type Bridge, ensureBridge } from './bridges.ts';
import type { Firewall } from './firewall.ts';
import type { Instance } from './instance.ts';
import { ensureParent } from './lan.ts';
import { LinkLocalRoutes } from './link-local.ts';
import type { Netd } from './netd.ts';
import type { NetworkState, NetworkTable } from './network-table.ts';
import type { LanRecord } from './registry.ts';
import type { Ruleset } from './ruleset.ts';
import type { BridgeRules } from './ruleset-bridges.ts';

export interface BridgesParts {
  readonly netd: () => Netd;
  readonly table: NetworkTable;
  readonly instance: Instance;
  readonly firewall: Firewall;
  readonly log: Log;
}

export class MachineBridges {
  readonly #parts: BridgesParts;
  readonly linkLocal: LinkLocalRoutes;

  constructor(parts: BridgesParts) {
    this.#parts = parts;
    this.linkLocal = new LinkLocalRoutes(parts);
  }

  /** The kernel gets their rules with the first adoption, join or ingress: what is there until then serves containers. */
  async ensure(): Promise<void> {
    const { netd, instance, table } = this.#parts;
    for (const state of table.all()) {
      if (!state.bridge || state.overlay) continue;
      const { lan } = state.record;
      if (lan) await this.#findParent(state, state.bridge, lan);
      else state.bridgeIndex = await ensureBridge(netd(), state.bridge, instance);
    }
    this.prepareRules();
    await this.linkLocal.ensure();
  }

  /** The rules are those of the networks that there are now; the kernel has them, or gets them with the next change. */
  prepareRules(): void {
    this.#parts.firewall.prepare((wanted) => ({ ...wanted, ...this.#rules() }));
  }

  async syncRules(): Promise<void> {
    await this.#parts.firewall.set((wanted) => ({ ...wanted, ...this.#rules() }));
    await this.linkLocal.ensure();
  }

  /** A parent that is gone meanwhile is no reason not to start: its containers are cut off, and the audit says so. */
  async #findParent(state: NetworkState, bridge: Bridge, lan: LanRecord): Promise<void> {
    const { netd, instance, log } = this.#parts;
    try {
      state.bridgeIndex = (await ensureParent(netd(), bridge, lan, instance)).index;
    } catch (error) {
      log.warn('a network lacks its parent', { network: state.record.name, reason: sentenceOf(error) });
    }
  }

  #rules(): Pick<Ruleset, 'bridges' | 'linkZone'> {
    const { table, instance } = this.#parts;
    const bridges = table
      .all()
      .flatMap(({ bridge, overlay, record }) => (bridge && !overlay && !record.lan ? [rulesOf(bridge)] : []));
    const hasSix = bridges.some(({ gateway6 }) => gateway6 !== undefined);
    return { bridges, linkZone: hasSix ? instance.linkZone : undefined };
  }
}

const rulesOf = ({ name, subnets, subnets6, internal, masquerade, talkInside }: Bridge): BridgeRules => ({
  name,
  subnets: subnets.map(({ subnet }) => subnet),
  subnets6: subnets6.map(({ subnet }) => subnet),
  ...(subnets6[0] && { gateway6: subnets6[0].gateway }),
  internal,
  masquerade,
  talkInside,
});
