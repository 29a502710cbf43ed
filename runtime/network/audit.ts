// Compares what the kernel has with what it should have, and repairs the difference.
import { sentenceOf } from '../../base/errors.ts';
import { formatIp } from './addresses.ts';
import { ensureBridge, type KernelView, missingGateways, viewKernel } from './bridges.ts';
import { connectionTables, pressureOf, type TableFill } from './connection-table.ts';
import type { Endpoints } from './endpoints.ts';
import type { Firewall } from './firewall.ts';
import type { Instance } from './instance.ts';
import { ensureParent } from './lan.ts';
import type { LinkLocalRoutes } from './link-local.ts';
import { type Netd, StepError } from './netd.ts';
import type { NetworkState } from './network-table.ts';
import { gatewayStep, missingInSandbox } from './overlay-sandbox.ts';
import type { MachineOverlays } from './overlays.ts';
import type { Ways } from './ways.ts';

/** What may be wrong; repairs are counted by it. */
export type Cause = 'bridge' | 'link' | 'rules' | 'overlay' | 'encryption' | 'ways' | 'connections';

/** Something in the kernel that is not as the records have it. */
export interface Difference {
  readonly cause: Cause;
  readonly sentence: string;
}

interface Finding extends Difference {
  readonly repair: () => Promise<unknown>;
}

export interface AuditReport {
  /** A sentence for each thing that was wrong and was put right. */
  readonly repairs: readonly string[];
  /** And for each that could not be. */
  readonly failures: readonly string[];
}

export interface AuditParts {
  readonly netd: Netd;
  readonly instance: Instance;
  readonly networks: readonly NetworkState[];
  readonly endpoints: Endpoints;
  readonly firewall: Firewall;
  readonly overlays: Pick<MachineOverlays, 'each' | 'differences' | 'audit'>;
  readonly linkLocal: Pick<LinkLocalRoutes, 'ensure' | 'differences'>;
  readonly ways: Pick<Ways, 'differences' | 'audit'>;
}

/** The tables of tracked connections that published ports and virtual addresses fill. */
export function tablesOf({ netd, overlays }: AuditParts): Promise<TableFill[]> {
  const networks = [...overlays.each()].map(({ shape, path }) => ({ whose: `network ${shape.name}`, where: path }));
  return connectionTables(netd, [{ whose: 'this machine', where: '' }, ...networks]);
}

/** Every difference there is now; nothing is changed. */
export async function findDifferences(parts: AuditParts): Promise<readonly Difference[]> {
  const found: Difference[] = [];
  const look = async (cause: Cause, what: string, compare: () => Promise<readonly string[]>): Promise<void> => {
    try {
      for (const sentence of await compare()) found.push({ cause, sentence });
    } catch (error) {
      found.push({ cause, sentence: notLookedAt(what, error) });
    }
  };
  await look('ways', 'the link to other nodes', () => parts.ways.differences());
  await look('link', 'bridges and links', async () => {
    const view = await viewKernel(parts.netd);
    const findings = [...bridgeFindings(parts, view), ...endpointFindings(parts, view)];
    found.push(...findings.map(({ cause, sentence }) => ({ cause, sentence })));
    return [];
  });
  await look('link', 'routes to clients of links', () => parts.linkLocal.differences());
  await look('rules', 'packet rules', () => parts.firewall.differences());
  await look('connections', 'tracked connections', async () => pressureOf(await tablesOf(parts)));
  for (const overlay of parts.overlays.each()) {
    await look('overlay', `network ${overlay.shape.name}`, () => overlay.differences());
    await look('overlay', `the sandbox of network ${overlay.shape.name}`, async () => {
      const findings = await sandboxFindings(parts, overlay.path);
      found.push(...findings.map(({ cause, sentence }) => ({ cause, sentence })));
      return [];
    });
  }
  await look('encryption', 'what the kernel encrypts', () => parts.overlays.differences());
  return found;
}

/** One part that can not be looked at hides nothing of the others. */
const notLookedAt = (what: string, error: unknown): string => `${what} could not be looked at: ${sentenceOf(error)}`;

/** Repairs what is found; `repaired` hears of each. */
export async function auditKernel(parts: AuditParts, repaired: (cause: Cause) => void): Promise<AuditReport> {
  const work = new Repairs(repaired);
  await work.part('bridges and links', async () => {
    const view = await viewKernel(parts.netd);
    const bridges = bridgeFindings(parts, view);
    await work.mend(bridges);
    // A bridge that was gone took its ports with it.
    await work.mend(endpointFindings(parts, bridges.length > 0 ? await viewKernel(parts.netd) : view));
  });
  await work.part('routes to clients of links', async () => work.took('link', await parts.linkLocal.ensure()));
  await repairRules(parts, work);
  for (const overlay of parts.overlays.each()) {
    await work.part(`network ${overlay.shape.name}`, async () => work.took('overlay', await overlay.audit()));
    const sandbox = `the sandbox of network ${overlay.shape.name}`;
    await work.part(sandbox, async () => work.mend(await sandboxFindings(parts, overlay.path)));
  }
  await work.part('what the kernel encrypts', async () => work.took('encryption', await parts.overlays.audit()));
  return work.report;
}

/** As `auditKernel`, of what packet rules are about. */
export async function auditRules(parts: AuditParts, repaired: (cause: Cause) => void): Promise<AuditReport> {
  const work = new Repairs(repaired);
  await repairRules(parts, work);
  return work.report;
}

async function repairRules(parts: AuditParts, work: Repairs): Promise<void> {
  await work.part('the link to other nodes', async () => work.took('ways', await parts.ways.audit()));
  await work.part('packet rules', async () => work.mend(await ruleFindings(parts)));
}

class Repairs {
  readonly report = { repairs: [] as string[], failures: [] as string[] };
  readonly #repaired: (cause: Cause) => void;

  constructor(repaired: (cause: Cause) => void) {
    this.#repaired = repaired;
  }

  /** What fails in it is told, and is nobody else's failure. */
  async part(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.report.failures.push(notLookedAt(what, error));
    }
  }

  async mend(findings: readonly Finding[]): Promise<void> {
    for (const { cause, sentence, repair } of findings) {
      try {
        await repair();
        this.took(cause, [sentence]);
      } catch (error) {
        this.report.failures.push(`${sentence}: ${sentenceOf(error)}`);
      }
    }
  }

  took(cause: Cause, sentences: readonly string[]): void {
    for (const sentence of sentences) {
      this.#repaired(cause);
      this.report.repairs.push(sentence);
    }
  }
}

/** All rules are replaced in one go, whatever differs. */
async function ruleFindings({ firewall }: AuditParts): Promise<Finding[]> {
  const differences = await firewall.differences();
  return differences.map((sentence, index) => ({
    cause: 'rules',
    sentence,
    repair: index === 0 ? () => firewall.rebuild() : () => Promise.resolve(),
  }));
}

function bridgeFindings({ netd, instance, networks, endpoints }: AuditParts, view: KernelView): Finding[] {
  const findings: Finding[] = [];
  for (const state of networks) {
    const { bridge, overlay } = state;
    if (bridge && state.record.lan) findings.push(...parentFindings(netd, instance, endpoints, state, view));
    const wrong = bridge && !overlay && !state.record.lan && bridgeFault(state, view);
    if (!bridge || !wrong) continue;
    const repair = async (): Promise<void> => {
      state.bridgeIndex = await ensureBridge(netd, bridge, instance);
    };
    findings.push({ cause: 'bridge', sentence: `bridge ${bridge.name} ${wrong}`, repair });
  }
  return findings;
}

/** The kernel takes the containers' links with their parent. */
function parentFindings(
  netd: Netd,
  instance: Instance,
  endpoints: Endpoints,
  state: NetworkState,
  view: KernelView,
): Finding[] {
  const { bridge, record } = state;
  const { lan } = record;
  const link = view.links.find((candidate) => candidate.name === bridge?.name);
  if (!bridge || !lan || (link?.index === state.bridgeIndex && (link.up || lan.made === ''))) return [];
  const repair = async (): Promise<void> => {
    const { index } = await ensureParent(netd, bridge, lan, instance);
    const isNew = index !== state.bridgeIndex;
    state.bridgeIndex = index;
    if (!isNew) return;
    for (const each of state.endpoints.values()) await endpoints.rewire(state, each);
  };
  const wrong = link ? 'was down or made anew by somebody' : 'was gone';
  return [{ cause: 'link', sentence: `parent ${bridge.name} of network ${record.name} ${wrong}`, repair }];
}

function bridgeFault({ bridge, bridgeIndex }: NetworkState, view: KernelView): string | undefined {
  const link = view.links.find((candidate) => candidate.name === bridge?.name);
  if (!bridge) return undefined;
  if (!link) return 'was gone';
  if (link.index !== bridgeIndex) return 'was made anew by somebody';
  if (!link.up) return 'was down';
  const [missing] = missingGateways(bridge, link.index, view);
  return missing && `had lost its address ${formatIp(missing.address)}`;
}

function endpointFindings({ networks, endpoints }: AuditParts, view: KernelView): Finding[] {
  const own = networks.filter(({ overlay }) => !overlay); // the links of others are in another namespace
  return own.flatMap((network) => linkFindings(endpoints, network, view));
}

function linkFindings(endpoints: Endpoints, network: NetworkState, view: KernelView): Finding[] {
  const findings: Finding[] = [];
  const links = new Map(view.links.map((link) => [link.name, link]));
  for (const state of network.endpoints.values()) {
    const { endpoint } = state;
    if (endpoint.hostInterfaceName === '') continue;
    const link = links.get(endpoint.hostInterfaceName);
    const name = `link ${endpoint.hostInterfaceName} of container ${endpoint.containerId.slice(0, 12)}`;
    if (!link) {
      findings.push({ cause: 'link', sentence: `${name} was gone`, repair: () => endpoints.rewire(network, state) });
    } else if (link.master !== network.bridgeIndex || !link.up) {
      findings.push({
        cause: 'link',
        sentence: `${name} was off its bridge`,
        repair: () => endpoints.reattach(network, state),
      });
    }
  }
  return findings;
}

/** What the sandbox of a network between nodes has for its containers. Whether it is there is the overlay's own concern. */
async function sandboxFindings({ netd, networks, endpoints }: AuditParts, path: string): Promise<Finding[]> {
  const network = networks.find(({ overlay }) => overlay?.path === path);
  if (!network?.overlay || network.endpoints.size === 0 || !network.overlay.isThere()) return [];
  const view = await viewSandbox(netd, path);
  if (!view) return [];
  const { shape } = network.overlay;
  const gateways = missingInSandbox(shape, view).map(({ address, prefixLength }): Finding => {
    const sentence = `network ${shape.name} had lost its gateway address ${formatIp(address)}`;
    const step = gatewayStep(path, { address, prefixLength });
    return { cause: 'overlay', sentence, repair: () => netd.do(`giving network ${shape.name} its gateway`, [step]) };
  });
  return [...gateways, ...linkFindings(endpoints, network, view)];
}

/** Undefined: it is gone, or no namespace any more, as the overlay says by itself. */
async function viewSandbox(netd: Netd, path: string): Promise<KernelView | undefined> {
  try {
    return await viewKernel(netd, path);
  } catch (error) {
    if (error instanceof StepError) return undefined;
    throw error;
  }
}
