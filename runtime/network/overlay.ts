// One network between nodes, as this node has it: a namespace of its own with a bridge, to which containers are wired, and
// a VXLAN link. Nothing in it is learned: who is behind which node, and which tasks a service has, is handed in whole.
// Invariant: what was handed in last with the highest index is what the kernel is brought to; nothing is flushed first,
// so that connections go on while a daemon is replaced.
import { existsSync } from 'node:fs';
import type { Log } from '../../base/log.ts';
import { sentenceOf } from '../../base/errors.ts';
import { isSix } from './addresses.ts';
import type { OverlayState } from './contract.ts';
import {
  changeLink,
  deleteLinkAt,
  deleteLinkGroup,
  dumpAddresses,
  dumpAddresses6,
  dumpLinks,
  readLinkAddresses,
  readLinks,
} from './link-messages.ts';
import { type Netd, StepError } from './netd.ts';
import {
  type ConnectionFilter,
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  readNetlinkResult,
  type Step,
} from './netd-protocol.ts';
import { MessageWriter } from './netlink.ts';
import { listElements, listRules } from './nft-read.ts';
import {
  BRIDGE_INDEX,
  deleteRow,
  dumpAddressNeighbours,
  dumpAddressNeighbours6,
  dumpForwarding,
  putRow,
  readRows,
  type Row,
  rowKey,
  VXLAN_INDEX,
} from './overlay-messages.ts';
import {
  describeOverlayRules,
  OVERLAY_TABLE,
  type OverlayRules,
  planOverlayChange,
  planOverlayReplacement,
} from './overlay-ruleset.ts';
import {
  joinSteps,
  type OverlayShape,
  putOnBridge,
  sandboxSteps,
  translationSteps,
  waySteps,
} from './overlay-sandbox.ts';
import { sendsIn } from './overlay-underlay.ts';
import {
  filterInSix,
  isReplaced,
  isWay,
  lostIn,
  rowDifferences,
  stepsOf,
  wantedOf,
  withdrawnIn,
} from './overlay-wanted.ts';

export interface OverlayParts {
  readonly netd: () => Netd;
  readonly log: Log;
  readonly path: string;
  readonly linkGroup: number;
  /** The namespace that its packets leave and arrive in; '' is the node's own. */
  readonly underlay: () => Promise<string>;
}

export class Overlay {
  readonly shape: OverlayShape;
  readonly #parts: OverlayParts;
  #state: OverlayState | undefined;
  #index = 0;
  #rows: ReadonlyMap<string, Row> | undefined; // what the kernel has; undefined: to be read
  #rules: OverlayRules | undefined;
  #descriptor: { readonly pid: number; readonly fd: Promise<number> } | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #made = false;
  #isToBe = false; // it was made once: where it is gone, or can not be made again, that is wrong
  #isFresh = false; // made by us just now: it has no packet rules

  constructor(shape: OverlayShape, parts: OverlayParts) {
    this.shape = shape;
    this.#parts = parts;
  }

  get path(): string {
    return this.#parts.path;
  }

  /** The namespace can be looked at. */
  isThere(): boolean {
    return this.#made && existsSync(this.path);
  }

  get state(): OverlayState | undefined {
    return this.#state;
  }

  /** By which link messages name the namespace, for as long as the helper lives. */
  async descriptor(): Promise<number> {
    await this.ensure();
    const netd = this.#parts.netd();
    const { pid } = netd.hello;
    if (this.#descriptor?.pid !== pid) {
      const fd = netd
        .do('holding a namespace', [{ do: 'hold-namespace', path: this.path }])
        .then(([result]) => result?.bytes.readUInt32LE(0) ?? -1);
      this.#descriptor = { pid, fd };
    }
    return await this.#descriptor.fd;
  }

  /** Makes the namespace and its links, or takes up what is there. */
  ensure(): Promise<void> {
    return this.#made ? Promise.resolve() : this.#inTurn(() => this.#ensure());
  }

  /** Resolves when the kernel has this state or a later one. */
  apply(index: number, state: OverlayState): Promise<void> {
    if (index < this.#index) return Promise.resolve();
    const before = this.#state;
    this.#index = index;
    this.#state = state;
    return this.#inTurn(async () => {
      await this.#ensure();
      if (this.#state === state) await this.#bring();
      await this.#forget(before, state);
    });
  }

  /** Compares kernel and wanted and repairs: a sentence for each kind of thing that was wrong. */
  audit(): Promise<string[]> {
    return this.#inTurn(() => this.#audit());
  }

  /** As `audit`, and changes nothing. */
  differences(): Promise<string[]> {
    return this.#inTurn(() => this.#compare());
  }

  /** Links, namespace and all. */
  remove(): Promise<void> {
    return this.#inTurn(async () => {
      this.#made = false;
      this.#isToBe = false;
      const writer = new MessageWriter();
      changeLink(writer, { index: VXLAN_INDEX, up: false }); // frees the number at once, whoever is still inside
      await this.#giveUp(writer.finish());
    });
  }

  /** `messages`: what is done in the namespace first. It lives on while somebody holds it. */
  async #giveUp(messages: Buffer): Promise<void> {
    const { netd } = this.#parts;
    const held = this.#descriptor;
    this.#descriptor = undefined;
    await netd().run([
      { do: 'netlink', family: NETLINK_ROUTE, where: this.path, messages, mayFail: true },
      ...(held?.pid === netd().hello.pid
        ? [{ do: 'drop-namespace', descriptor: await held.fd, mayFail: true } satisfies Step]
        : []),
    ]);
    // Aside is where removals of others wait for the kernel: nobody stands in that queue without need.
    if (existsSync(this.path))
      await netd().doAside('removing a network namespace', { do: 'remove-namespace', path: this.path });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #ensure(): Promise<void> {
    if (this.#made) return;
    const up = await this.#linksUp();
    if (!up.has(BRIDGE_INDEX)) await this.#make();
    else await this.#checkWays(up.has(VXLAN_INDEX));
    this.#made = true;
    this.#isToBe = true;
  }

  /** One that was found may send in a namespace that nobody is in any more: its ways are made anew, the rest stays. */
  async #checkWays(areThere: boolean): Promise<void> {
    const { netd, path, log, underlay } = this.#parts;
    const where = await underlay();
    if (areThere && (where === '' || (await sendsIn(netd(), path, where)))) return;
    const { name } = this.shape;
    log.warn('a network had no ways, or such as nobody takes on: they are made anew', { network: name });
    const [held] = await netd().do(`holding the sandbox of network ${name}`, [{ do: 'hold-namespace', path }]);
    const sandboxFd = held?.bytes.readUInt32LE(0) ?? -1;
    const old = new MessageWriter();
    deleteLinkAt(old, VXLAN_INDEX);
    const join = new MessageWriter();
    putOnBridge(join);
    await netd().do(`renewing the ways of network ${name}`, [
      { do: 'netlink', family: NETLINK_ROUTE, where: path, messages: old.finish(), mayFail: true },
      ...waySteps(this.shape, { where, path, sandboxFd, group: this.#parts.linkGroup }),
      { do: 'netlink', family: NETLINK_ROUTE, where: path, messages: join.finish() },
      { do: 'drop-namespace', descriptor: sandboxFd },
    ]);
    this.#rows = undefined;
  }

  async #isThere(): Promise<boolean> {
    const up = await this.#linksUp();
    return up.has(BRIDGE_INDEX) && up.has(VXLAN_INDEX);
  }

  async #linksUp(): Promise<ReadonlySet<number>> {
    try {
      const links = readLinks(await this.#ask(NETLINK_ROUTE, dumpLinks()));
      return new Set(links.filter(({ up }) => up).map(({ index }) => index));
    } catch (error) {
      if (error instanceof StepError) return new Set();
      throw error;
    }
  }

  async #make(): Promise<void> {
    const { netd, path, underlay } = this.#parts;
    const { name } = this.shape;
    if (existsSync(path)) {
      // Half of it is there, and the rest would keep the network's number and the names of containers' links.
      const writer = new MessageWriter();
      deleteLinkGroup(writer, this.#parts.linkGroup);
      await this.#giveUp(writer.finish());
    }
    this.#rows = undefined;
    this.#rules = undefined;
    this.#isFresh = true;
    const doing = `making the sandbox of network ${name}`;
    await netd().do(doing, sandboxSteps(this.shape, path));
    const [bridged] = await netd().run(translationSteps(path));
    if (bridged?.errno !== 0) {
      this.#parts.log.error('virtual addresses do not work: load the kernel module br_netfilter', { network: name });
    }
    this.#descriptor = undefined;
    const [held] = await netd().do(doing, [{ do: 'hold-namespace', path }]);
    const fd = held?.bytes.readUInt32LE(0) ?? -1;
    this.#descriptor = { pid: netd().hello.pid, fd: Promise.resolve(fd) };
    await netd().do(doing, [
      ...waySteps(this.shape, { where: await underlay(), path, sandboxFd: fd, group: this.#parts.linkGroup }),
      ...joinSteps(this.shape, path),
    ]);
  }

  /** Who is where comes first, then who is a service's task: nobody is sent to where there is no way. */
  async #bring(): Promise<void> {
    if (!this.#state) return;
    const wanted = wantedOf(this.#state, this.shape);
    const known = this.#rows ?? (await this.#readRows());
    this.#rows = undefined;
    const gone = [...known].filter(([key]) => !wanted.rows.has(key)).map(([, row]) => row);
    const come = [...wanted.rows].filter(([key]) => !known.has(key)).map(([, row]) => row);
    await this.#change([...stepsOf(come.filter(isWay), putRow, this.path)]);
    await this.#bringRules(wanted.rules);
    // A MAC address that moved from one node to another was replaced above; its old row is not there any more.
    await this.#change([
      ...stepsOf(
        come.filter((row) => !isWay(row)),
        putRow,
        this.path,
      ),
      ...stepsOf(
        gone.filter((row) => !isReplaced(row, wanted.rows)),
        deleteRow,
        this.path,
      ),
    ]);
    this.#rows = wanted.rows;
  }

  async #bringRules(rules: OverlayRules): Promise<void> {
    const from = this.#rules;
    this.#rules = undefined;
    const fresh = this.#isFresh;
    const messages = from ? planOverlayChange(from, rules) : planOverlayReplacement(rules, { fresh });
    this.#isFresh = false;
    if (messages) await this.#ask(NETLINK_NETFILTER, messages);
    this.#rules = rules;
  }

  /** Datagrams do not stay with a task that left; connections do, until it is gone or its node is lost. */
  async #forget(before: OverlayState | undefined, after: OverlayState): Promise<void> {
    if (!before) return;
    const filters = [...lostIn(before, after), ...withdrawnIn(before, after)].flatMap((filter) => this.#inBoth(filter));
    if (filters.length === 0) return;
    const step: Step = { do: 'forget-connections', where: this.path, filters };
    await this.#parts.netd().doAside('forgetting connections', step);
  }

  /** Whoever is gone has gone with both of its addresses. */
  #inBoth(filter: ConnectionFilter): ConnectionFilter[] {
    const { six } = this.shape;
    return six ? [filter, filterInSix(filter, six)] : [filter];
  }

  async #readRows(): Promise<Map<string, Row>> {
    const [neighbours, forwarding, addresses] = [
      [
        ...readRows(await this.#ask(NETLINK_ROUTE, dumpAddressNeighbours())),
        ...(this.shape.six ? readRows(await this.#ask(NETLINK_ROUTE, dumpAddressNeighbours6())) : []),
      ],
      readRows(await this.#ask(NETLINK_ROUTE, dumpForwarding())),
      [
        ...readLinkAddresses(await this.#ask(NETLINK_ROUTE, dumpAddresses())),
        ...(this.shape.six ? readLinkAddresses(await this.#ask(NETLINK_ROUTE, dumpAddresses6())) : []),
      ],
    ];
    const virtual = addresses
      .filter(
        ({ index, address, prefixLength }) => index === BRIDGE_INDEX && prefixLength === (isSix(address) ? 128 : 32),
      )
      .map(({ address }): Row => {
        return isSix(address) ? { kind: 'virtual6', address, of: 0 } : { kind: 'virtual', address };
      });
    return new Map([...neighbours, ...forwarding, ...virtual].map((row) => [rowKey(row), row]));
  }

  async #audit(): Promise<string[]> {
    const found = await this.#compare();
    if (found.length === 0) return found;
    if (!(await this.#isThere())) this.#made = false;
    await this.#ensure();
    this.#rows = undefined;
    this.#rules = undefined;
    await this.#bring();
    return found;
  }

  async #compare(): Promise<string[]> {
    if (!this.#isToBe || !this.#state) return [];
    const { name } = this.shape;
    if (!(await this.#isThere())) return [`the sandbox of network ${name} was gone`];
    const wanted = wantedOf(this.#state, this.shape);
    const rows = await this.#readRows();
    const found = rowDifferences(wanted.rows, rows).map((words) => `network ${name} ${words}`);
    if (!(await this.#rulesAreThere(wanted.rules))) {
      found.push(`the packet rules of network ${name} were not as they should be`);
    }
    return found;
  }

  async #rulesAreThere(rules: OverlayRules): Promise<boolean> {
    const { sets, chains } = describeOverlayRules(rules);
    try {
      const found = listRules.read(await this.#ask(NETLINK_NETFILTER, listRules.request(OVERLAY_TABLE)), OVERLAY_TABLE);
      if ([...chains].some(([chain, count]) => found.filter((each) => each.chain === chain).length !== count))
        return false;
      for (const [set, wanted] of sets) {
        const elements = listElements.read(
          await this.#ask(NETLINK_NETFILTER, listElements.request(OVERLAY_TABLE, set)),
        );
        if (elements.length !== wanted.size || elements.some((element) => !wanted.has(element))) return false;
      }
      return true;
    } catch (error) {
      if (error instanceof StepError) return false;
      throw error;
    }
  }

  async #change(steps: readonly Step[]): Promise<void> {
    if (steps.length === 0) return;
    try {
      await this.#parts.netd().do(`bringing network ${this.shape.name} up to date`, steps);
    } catch (error) {
      // Somebody else has changed something: the next attempt begins with what is there.
      this.#parts.log.warn('a network was not as it was left', { network: this.shape.name, reason: sentenceOf(error) });
      throw error;
    }
  }

  async #ask(family: number, messages: Uint8Array): Promise<Buffer> {
    const doing = `looking at network ${this.shape.name}`;
    const [result] = await this.#parts.netd().do(doing, [{ do: 'netlink', family, where: this.path, messages }]);
    return result ? readNetlinkResult(result.bytes).messages : Buffer.alloc(0);
  }
}
