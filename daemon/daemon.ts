// The daemon: makes the rooms, joins them by hand, and takes them down in reverse order. Containers go on running.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Dashboard } from '../api/dashboard/server.ts';
import type { SystemFacts } from '../api/deps.ts';
import { type ApiServer, createApiServer } from '../api/server.ts';
import type { Clock } from '../base/clock.ts';
import { asObject, asString, parseJson } from '../base/parse.ts';
import { fail } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { PACKAGE_ROOT } from '../base/package-root.ts';
import type { Random } from '../base/random.ts';
import { Scope } from '../base/scope.ts';
import type { ClusterControl } from '../proto/control.ts';
import { nativeBinary } from '../runtime/native/binary.ts';
import { DEFAULT_MASKED_PATHS, DEFAULT_READ_ONLY_PATHS } from '../runtime/native/defaults.ts';
import { openNativeRuntime } from '../runtime/native/native-runtime.ts';
import { beginNetworks } from '../runtime/network/networks.ts';
import { createRuntime } from '../runtime/runtime.ts';
import type { DaemonConfig } from './config.ts';
import { checkFormat, daemonId, lockDataRoot, makeFolder } from './data-root.ts';
import { LateSwarm } from './late-swarm.ts';
import { apiAddresses } from './listen-addresses.ts';
import { writePidFile } from './pid-file.ts';
import { machineFacts, type MachineFacts } from './system-facts.ts';

export interface DaemonDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Resolves when every address listens and the swarm is taken up; containers are answered for as soon as they are
 * known, while what belongs to the swarm is still being loaded. Disposing ends the daemon in order and
 * leaves containers running.
 */
export async function startDaemon(config: DaemonConfig, deps: DaemonDeps): Promise<AsyncDisposable> {
  await using undo = new Scope();
  const { dataRoot, execRoot } = config;
  const { clock, random, log } = deps;
  makeFolder(dataRoot);
  makeFolder(execRoot);
  await checkFormat(dataRoot);
  const cacheDirectory = nativeCache(dataRoot);
  const binary = await nativeBinary(cacheDirectory);
  undo.own(await lockDataRoot(dataRoot, binary.path));
  undo.own(writePidFile(config.pidFile));

  const native = undo.own(
    await openNativeRuntime({ runDirectory: join(execRoot, 'z'), binary, cacheDirectory, log, clock }),
  );
  const { networks, open: networksOpen } = beginNetworks({
    netd: { command: binary.path, args: ['netd', binary.sourceHash] },
    dataRoot,
    execRoot,
    bridge: bridgeOptions(config),
    ...deps,
  });
  undo.defer(async () => {
    await networksOpen.catch(() => undefined); // why they could not be opened is the start's failure
    await networks.shutdown({ keep: true });
  });
  const runtime = undo.own(
    await createRuntime({
      dataRoot,
      execRoot,
      native,
      networks,
      networksOpen,
      cgroupParent: config.cgroupParent,
      registries: config.registries,
      ociRuntimes: config.ociRuntimes,
      ...deps,
    }),
  );
  const machine = machineFacts();
  const swarm = undo.own(
    new LateSwarm({
      dataRoot,
      runtime,
      hostname: machine.hostname,
      version: packageVersion(),
      labels: config.labels,
      defaultAdvertiseAddress: config.swarmAdvertiseAddress,
      ...deps,
    }),
  );
  const late: { dashboard?: Dashboard | undefined } = {};
  const notYet = (): never => fail('unavailable', 'the dashboard does not listen yet');
  const links = { createLink: () => (late.dashboard ?? notYet()).createLink() };
  const dashboard = config.dashboard === '' ? undefined : links;
  const system = systemFacts(config, machine, await daemonId(dataRoot, random));
  const api = createApiServer({ runtime, swarm, system, clock, random, log, dashboard });
  undo.defer(() => api.close());
  await listenAll(api, config);
  await runtime.adopted;
  await swarm.open();
  late.dashboard = await openDashboard(config, deps, () => swarm.control(), undo);
  return undo.handOver();
}

/** The helper compiled with the package where that was built here, otherwise one of the daemon's own. */
function nativeCache(dataRoot: string): string {
  const built = join(PACKAGE_ROOT, 'dist/native');
  return existsSync(built) ? built : join(dataRoot, 'native');
}

function bridgeOptions({ bridge }: DaemonConfig): { name?: string; subnet?: string } {
  return { ...(bridge.name ? { name: bridge.name } : {}), ...(bridge.address ? { subnet: bridge.address } : {}) };
}

async function openDashboard(
  config: DaemonConfig,
  deps: DaemonDeps,
  control: () => ClusterControl,
  undo: Scope,
): Promise<Dashboard | undefined> {
  if (config.dashboard === '') return undefined;
  const { Dashboard } = await import('../api/dashboard/server.ts');
  const dashboard = undo.own(new Dashboard({ ...deps, control, files: join(PACKAGE_ROOT, 'dist/pages') }));
  await dashboard.listen(config.dashboard);
  return dashboard;
}

async function listenAll(api: ApiServer, config: DaemonConfig): Promise<void> {
  for (const address of apiAddresses(config)) await api.listen(address);
}

function systemFacts(config: DaemonConfig, machine: MachineFacts, id: string): SystemFacts {
  return {
    ...machine,
    daemonId: id,
    dataRoot: config.dataRoot,
    version: packageVersion(),
    gitCommit: 'release',
    buildTime: '',
    storageDriver: 'overlay2',
    hiddenPaths: { masked: DEFAULT_MASKED_PATHS, readOnly: DEFAULT_READ_ONLY_PATHS },
    labels: Object.entries(config.labels).map(([key, value]) => `${key}=${value}`),
    debug: config.logLevel === 'debug',
    warnings: [],
  };
}

function packageVersion(): string {
  const json = asObject(
    parseJson(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8'), 'package.json'),
    'package.json',
  );
  return asString(json['version'], 'version');
}
