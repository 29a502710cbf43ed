// A container's protection is worked out once: it holds for its command, its execs and its health probes.
import type { Container } from './container.ts';
import type { ContainerParts } from './parts.ts';
import { type Security, securityOf } from './security.ts';
// Its AppArmor profile is the one it was made with: an earlier daemon knew none.

export function securityOfContainer(container: Container, parts: Pick<ContainerParts, 'security'>): Security {
  container.security ??= {
    ...securityOf(container.record.config, parts.security),
    appArmorProfile: parts.security.appArmor.missing === undefined ? (container.record.appArmorProfile ?? '') : '',
  };
  return container.security;
}
