// Making and removing the networks that users ask for. One change at a time; joins do not wait for them.
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import { newHexId } from '../../base/id.ts';
import type { Random } from '../../base/random.ts';
import { formatSubnet, formatSubnet6, freeSubnet, isSixText, parseSubnet, parseSubnet6 } from './addresses.ts';
import {
  type Bridge,
  checkBridgeName,
  checkNameIsFree,
  ensureBridge,
  OPTION,
  removeBridge,
  routedSubnets,
} from './bridges.ts';
import type { Endpoint, NetworkInfo, Networks } from './contract.ts';
import type { Instance } from './instance.ts';
import type { Netd } from './netd.ts';
import { ensureParent, isLanDriver, planLan, probeLan, removeParent } from './lan.ts';
import { checkRequest, infoOf, isPredefined, type NetworkState, type NetworkTable, stateOf } from './network-table.ts';
import { checkedPools, checkedPools6, type Taken, type Taken6 } from './pool-request.ts';
import { type LanRecord, type NetworkRecord, type PoolRecord, poolsOf } from './registry.ts';

export type NetworkRequest = Parameters<Networks['create']>[0];

export interface ChangeParts {
  readonly netd: () => Netd;
  readonly instance: Instance;
  readonly clock: Clock;
  readonly random: Random;
  readonly table: NetworkTable;
  readonly mtu: () => number;
  /** The table changed: makes the packet rules follow. */
  readonly syncRules: () => Promise<void>;
  /** Lets the machine forward IPv6. */
  readonly letIpv6Pass: () => Promise<void>;
  /** And makes it durable. */
  readonly save: () => Promise<void>;
}

export class NetworkChanges {
  readonly #parts: ChangeParts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: ChangeParts) {
    this.#parts = parts;
  }

  create(request: NetworkRequest): Promise<NetworkInfo> {
    checkRequest(request);
    return this.#inTurn(() => this.#create(request));
  }

  remove(idOrName: string): Promise<void> {
    return this.#inTurn(() => this.#remove(this.#parts.table.find(idOrName)));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #create(request: NetworkRequest): Promise<NetworkInfo> {
    const { netd, table, instance, mtu, syncRules, letIpv6Pass, save } = this.#parts;
    if (isLanDriver(request.driver)) return await this.#createLan(request.driver, request);
    const state = stateOf(await this.#plan(request), mtu());
    if (!state.bridge) throw new CodedError('internal', `network ${request.name} has no bridge`);
    checkMtu(state.bridge, state.record);
    await checkNameIsFree(netd(), state.bridge.name);
    if (state.addresses6) await letIpv6Pass();
    try {
      state.bridgeIndex = await ensureBridge(netd(), state.bridge, instance);
      table.add(state);
      await syncRules();
      await save();
    } catch (error) {
      table.delete(state);
      await removeBridge(netd(), state.bridge.name);
      await syncRules();
      throw error;
    }
    return infoOf(state);
  }

  async #createLan(kind: LanRecord['kind'], request: NetworkRequest): Promise<NetworkInfo> {
    const { netd, table, instance, mtu, clock, random, save } = this.#parts;
    const { name, attachable, labels, options } = request;
    this.#mustBeNew(name);
    const id = newHexId(random);
    const { parent, lan, internal } = planLan(kind, request, id);
    this.#mustBeUnused(parent);
    const bridge = await this.#choosePlaces(request, parent);
    const common = { id, name, driver: kind, createdAtMs: clock.nowMs(), internal, attachable, labels, options };
    const planned = stateOf({ ...common, ...bridge, lan }, mtu());
    if (!planned.bridge) throw new CodedError('internal', `network ${name} has no parent`);
    const { index, made } = await ensureParent(netd(), planned.bridge, lan, instance);
    const state = stateOf({ ...planned.record, lan: { ...lan, made } }, mtu());
    try {
      await probeLan(netd(), planned.bridge, index, lan);
      state.bridgeIndex = index;
      table.add(state);
      await save();
    } catch (error) {
      table.delete(state);
      await removeParent(netd(), planned.bridge, { ...lan, made });
      throw error;
    }
    return infoOf(state);
  }

  #mustBeNew(name: string): void {
    if (this.#parts.table.byName(name)) throw new CodedError('conflict', `network with name ${name} already exists`);
  }

  /** One parent, one network: it may have several subnets. */
  #mustBeUnused(parent: string): void {
    const user = this.#parts.table.all().find((state) => state.bridge?.name === parent && !state.overlay);
    if (user)
      throw new CodedError('forbidden', `network ${user.record.name} is already using parent interface ${parent}`);
  }

  async #choosePlaces(
    request: NetworkRequest,
    link: string,
  ): Promise<Pick<NetworkRecord, 'bridge' | 'pools' | 'pools6'>> {
    const pools = await this.#choosePools(request);
    const pools6 = request.ipv6 ? this.#choosePools6(request) : undefined;
    const [first] = pools;
    if (!first) throw new CodedError('internal', `network ${request.name} has no subnet`);
    const bridge = { name: link, subnet: first.subnet, gateway: first.gateway };
    return { bridge, pools, ...(pools6 && { pools6 }) };
  }

  async #plan(request: NetworkRequest): Promise<NetworkRecord> {
    const { clock, random, table } = this.#parts;
    const { name, internal, attachable, labels, options } = request;
    this.#mustBeNew(name);
    const id = newHexId(random);
    const link = checkBridgeName(options[OPTION.bridgeName] ?? `br-${id.slice(0, 12)}`);
    if (table.all().some((state) => state.bridge?.name === link)) {
      throw new CodedError('conflict', `bridge name ${link} is used by another network`);
    }
    const places = await this.#choosePlaces(request, link);
    return {
      id,
      name,
      driver: 'bridge',
      createdAtMs: clock.nowMs(),
      internal,
      attachable,
      labels,
      options,
      ...places,
    };
  }

  async #choosePools(request: NetworkRequest): Promise<PoolRecord[]> {
    const { subnet, gateway } = request;
    const single = subnet === undefined ? [] : [{ subnet, ...(gateway === undefined ? {} : { gateway }) }];
    const asked = (request.pools ?? single).filter((pool) => !isSixText(pool.subnet));
    if (asked.length > 0) return checkedPools(asked, this.#taken());
    const taken = [...this.#taken().map((each) => each.subnet), ...(await routedSubnets(this.#parts.netd()))];
    return checkedPools(
      [{ subnet: formatSubnet(freeSubnet(taken)), ...(gateway === undefined ? {} : { gateway }) }],
      [],
    );
  }

  #choosePools6(request: NetworkRequest): PoolRecord[] {
    const asked = (request.pools ?? []).filter((pool) => isSixText(pool.subnet));
    const taken = this.#taken6();
    return checkedPools6(asked.length > 0 ? asked : [{ subnet: this.#freshSubnet6() }], taken);
  }

  /** A part of the private space that nobody else is likely to have chosen (RFC 4193). */
  #freshSubnet6(): string {
    const globalId = BigInt(`0x${Buffer.from(this.#parts.random.bytes(5)).toString('hex')}`);
    return formatSubnet6({ base: (0xfdn << 120n) | (globalId << 80n), prefixLength: 64 });
  }

  #taken6(): Taken6[] {
    return this.#parts.table
      .all()
      .flatMap(({ record }) =>
        (record.pools6 ?? []).map((pool) => ({ subnet: parseSubnet6(pool.subnet), owner: record.name })),
      );
  }

  #taken(): Taken[] {
    const networks = this.#parts.table.all();
    return networks.flatMap(({ record }) =>
      poolsOf(record).map((pool) => ({ subnet: parseSubnet(pool.subnet), owner: record.name })),
    );
  }

  async #remove(state: NetworkState): Promise<void> {
    const { netd, table, syncRules, save } = this.#parts;
    const { name, id } = state.record;
    if (state.overlay) throw new CodedError('forbidden', `network ${name} is the swarm's: remove it on a manager`);
    if (isPredefined(name)) throw new CodedError('forbidden', `${name} is a pre-defined network and cannot be removed`);
    if (state.endpoints.size > 0 || state.joining > 0) {
      const users = [...state.endpoints.values()].map(({ endpoint }) => ownerText(endpoint)).join(', ');
      const sentence = `error while removing network: network ${name} id ${id} has active endpoints (${users})`;
      throw new CodedError('forbidden', sentence);
    }
    table.delete(state);
    await save();
    await syncRules();
    const { bridge } = state;
    const { lan } = state.record;
    if (bridge && lan) await removeParent(netd(), bridge, lan);
    else if (bridge) await removeBridge(netd(), bridge.name);
  }
}

const MTU6_MIN = 1280;

function checkMtu({ mtu, subnets6 }: Bridge, { name }: NetworkRecord): void {
  if (subnets6.length === 0 || mtu >= MTU6_MIN) return;
  throw new CodedError('invalid', `network ${name} can not have IPv6: it needs an MTU of ${MTU6_MIN}, not ${mtu}`);
}

const ownerText = ({ names, containerId }: Endpoint): string =>
  `name:"${names?.[0] ?? ''}" id:"${containerId.slice(0, 12)}"`;
