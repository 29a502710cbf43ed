// /version.
import type { SystemFacts } from '../deps.ts';
import type { Version } from '../types/system.ts';
import { API_VERSION, API_VERSION_MIN } from '../versions.ts';

/** Go's name for what `uname` calls the machine. */
export function goArchitecture(machine: string): string {
  return { x86_64: 'amd64', aarch64: 'arm64', armv7l: 'arm', i686: '386' }[machine] ?? machine;
}

export function versionJson(system: SystemFacts): Version {
  const architecture = goArchitecture(system.architecture);
  const engine = {
    ApiVersion: API_VERSION,
    MinAPIVersion: API_VERSION_MIN,
    GitCommit: system.gitCommit,
    GoVersion: '',
    Os: 'linux',
    Arch: architecture,
    KernelVersion: system.kernelVersion,
    BuildTime: system.buildTime,
  };
  return {
    Platform: { Name: 'Shoal' },
    Components: [
      {
        Name: 'Engine',
        Version: system.version,
        // Clients of `docker version` read these as texts.
        Details: { ...engine, Experimental: 'false', NodeVersion: process.version },
      },
    ],
    Version: system.version,
    ...engine,
  };
}
