// Filters that an xz file may name beside LZMA2. None is known here yet: they help with programs, and not with archives.
import { fail } from '../../base/errors.ts';

export interface XzFilter {
  /** In place. */
  undo(piece: Uint8Array): void;
}

export function xzFilter(id: number, _properties: Uint8Array): XzFilter {
  return fail('not-implemented', `xz archives with the filter ${NAMES[id] ?? id} are not read: pack it without`);
}

const NAMES: Readonly<Record<number, string>> = {
  3: 'delta',
  4: 'x86',
  5: 'powerpc',
  6: 'ia64',
  7: 'arm',
  8: 'armthumb',
  9: 'sparc',
  10: 'arm64',
  11: 'riscv',
};
