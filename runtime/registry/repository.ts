// What a pull, push or look-up asks of one repository: manifests by name, blobs from any byte on.
import { fail } from '../../base/errors.ts';
import { asArray, asObject, asString, optional, parseJson } from '../../base/parse.ts';
import { sha256 } from '../image/digest.ts';
import type { Descriptor } from './contract.ts';
import { ACCEPT, type ImageIndex, type ImageManifest, MANIFEST_BYTES_MAX, parseManifest } from './manifest.ts';
import type { Session } from './session.ts';
import { readBody } from './transport.ts';

export interface FetchedManifest {
  readonly parsed: ImageManifest | ImageIndex;
  readonly bytes: Buffer;
  readonly descriptor: Descriptor;
}

const TAGS_MAX = 1_000;
const TAG_PAGES_MAX = 100;
const TAGS_BYTES_MAX = 1024 * 1024;

export class Repository {
  readonly path: string; // library/busybox
  readonly session: Session;

  constructor(session: Session, path: string) {
    this.session = session;
    this.path = path;
  }

  /** By tag or digest; what came under a digest has that digest. */
  async manifest(reference: string): Promise<FetchedManifest> {
    const ask = {
      path: `${this.path}/manifests/${reference}`,
      headers: { Accept: ACCEPT },
      expect: [200],
      again: true,
    };
    const { body, response } = await this.session.read(ask, MANIFEST_BYTES_MAX, 'the manifest');
    const digest = sha256(body);
    const wanted = reference.startsWith('sha256:') ? reference : response.headers['docker-content-digest'];
    if (typeof wanted === 'string' && wanted.startsWith('sha256:') && wanted !== digest) {
      fail('invalid', `manifest verification failed for digest ${wanted}: the content has ${digest}`);
    }
    const parsed = parseManifest(body, response.headers['content-type'] ?? '');
    return { parsed, bytes: body, descriptor: { mediaType: parsed.mediaType, digest, sizeBytes: body.length } };
  }

  /** A small blob, whole and verified. */
  async blob({ digest, sizeBytes }: Descriptor): Promise<Buffer> {
    const ask = { path: this.blobPath(digest), expect: [200], again: true };
    const { body } = await this.session.read(ask, sizeBytes, `blob ${digest}`);
    if (sha256(body) !== digest)
      fail('invalid', `verification failed for digest ${digest}: the content has ${sha256(body)}`);
    return body;
  }

  blobPath(digest: string): string {
    return `${this.path}/blobs/${digest}`;
  }

  async hasBlob(digest: string, abort?: AbortSignal): Promise<boolean> {
    const response = await this.session.send({
      method: 'HEAD',
      path: this.blobPath(digest),
      expect: [200, 404],
      again: true,
      abort,
    });
    response.resume();
    return response.statusCode === 200;
  }

  /** Every tag, page by page. */
  async tags(): Promise<string[]> {
    const tags: string[] = [];
    let path: string | URL | undefined = `${this.path}/tags/list?n=${TAGS_MAX}`;
    for (let page = 0; path !== undefined && page < TAG_PAGES_MAX; page += 1) {
      const response = await this.session.send({ path, expect: [200], again: true });
      const body = await readBody(response, TAGS_BYTES_MAX, 'the list of tags');
      const json = asObject(parseJson(body.toString('utf8'), 'the list of tags'), 'the list of tags');
      tags.push(...(optional(json['tags'], 'tags', (value, at) => asArray(value, at, asString)) ?? []));
      if (tags.length > TAGS_MAX)
        fail('exhausted', `${this.path} has more than ${TAGS_MAX} tags: name the ones you want`);
      const next = /<([^>]+)>;\s*rel="?next"?/.exec(String(response.headers['link'] ?? ''))?.[1];
      path = next === undefined ? undefined : new URL(next, this.session.base);
    }
    return tags;
  }
}
