// What a manifest or index says it is must be one thing. A document that reads as an image to one program and as an index to
// another has one digest and two contents (CVE-2021-41190), so it is refused.
import { fail } from '../../base/errors.ts';
import type { Json } from '../../base/parse.ts';

const KINDS = {
  'application/vnd.oci.image.index.v1+json': 'index',
  'application/vnd.docker.distribution.manifest.list.v2+json': 'index',
  'application/vnd.oci.image.manifest.v1+json': 'image',
  'application/vnd.docker.distribution.manifest.v2+json': 'image',
} as const satisfies Record<string, 'image' | 'index'>;

/** `names`: the media types under which the document came, from inside and outside; unknown ones say nothing. */
export function documentKind(json: Json, names: readonly string[]): 'image' | 'index' {
  const known = names.filter((name): name is keyof typeof KINDS => Object.hasOwn(KINDS, name));
  const [first, other] = new Set(known);
  if (first !== undefined && other !== undefined) {
    fail('invalid', `the manifest is called ${first} and ${other}: it must be one thing`);
  }
  const isIndex = json['manifests'] !== undefined;
  const isImage = json['config'] !== undefined || json['layers'] !== undefined;
  if (isIndex && isImage) fail('invalid', 'the manifest has the fields of an image and of an index');
  const kind = first === undefined ? (isIndex ? 'index' : 'image') : KINDS[first];
  if (kind === 'image' ? isIndex : isImage) {
    fail('invalid', `the manifest is called ${first} and has the fields of an ${isIndex ? 'index' : 'image'}`);
  }
  return kind;
}
