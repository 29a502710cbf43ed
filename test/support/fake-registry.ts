// A small registry on a loopback port that misbehaves as told: for what a real one does not do on demand.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { sha256 } from '../../runtime/image/digest.ts';
import { MEDIA } from '../../runtime/registry/manifest.ts';

export interface FakeLayer {
  readonly tar: Buffer;
  readonly pack?: (tar: Buffer) => Buffer; // by gzip unless given
  readonly mediaType?: string;
}

export interface FakeImage {
  readonly layers: readonly FakeLayer[];
  readonly config?: object;
  readonly architecture?: string;
  readonly variant?: string;
  readonly oci?: boolean;
  readonly diffIds?: readonly string[]; // the tars' own unless given
}

/** True: the request has been answered. */
type Misbehaviour = (request: IncomingMessage, response: ServerResponse) => boolean;

export const USER = { username: 'me', password: 'secret' };
const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

export class FakeRegistry implements AsyncDisposable {
  readonly blobs = new Map<string, Buffer>();
  /** By repository:tag and repository@digest. */
  readonly manifests = new Map<string, { bytes: Buffer; mediaType: string }>();
  readonly requests: string[] = [];
  readonly authorizations: (string | undefined)[] = [];
  misbehave: Misbehaviour = () => false;
  auth: 'none' | 'basic' | 'token' = 'none';
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  static async start(): Promise<FakeRegistry> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FakeRegistry(server);
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  addImage(name: string, tag: string, image: FakeImage): { digest: string; id: string; layers: string[] } {
    const oci = image.oci ?? false;
    const layers = image.layers.map(({ tar, pack = gzipSync, mediaType }) => {
      const bytes = pack(tar);
      const type = mediaType ?? (oci ? OCI_LAYER : MEDIA.dockerLayer);
      return { mediaType: type, size: bytes.length, digest: this.addBlob(bytes) };
    });
    const config = Buffer.from(
      JSON.stringify({
        architecture: image.architecture ?? 'amd64',
        os: 'linux',
        ...(image.variant === undefined ? {} : { variant: image.variant }),
        config: { Cmd: ['/x'], ...image.config },
        rootfs: { type: 'layers', diff_ids: image.diffIds ?? image.layers.map(({ tar }) => sha256(tar)) },
      }),
    );
    const id = this.addBlob(config);
    const mediaType = oci ? MEDIA.manifest : MEDIA.docker;
    const described = { mediaType: oci ? OCI_CONFIG : MEDIA.dockerConfig, size: config.length, digest: id };
    const digest = this.addManifest(name, tag, { schemaVersion: 2, mediaType, config: described, layers }, mediaType);
    return { digest, id, layers: layers.map((layer) => layer.digest) };
  }

  addIndex(name: string, tag: string, entries: readonly { digest: string; platform: object }[]): string {
    const manifests = entries.map(({ digest, platform }) => {
      const { bytes, mediaType } = this.manifests.get(`${name}@${digest}`) ?? { bytes: Buffer.alloc(0), mediaType: '' };
      return { mediaType, size: bytes.length, digest, platform };
    });
    return this.addManifest(name, tag, { schemaVersion: 2, mediaType: MEDIA.list, manifests }, MEDIA.list);
  }

  addManifest(name: string, tag: string, json: object, mediaType: string): string {
    const bytes = Buffer.from(JSON.stringify(json));
    this.manifests.set(`${name}:${tag}`, { bytes, mediaType });
    this.manifests.set(`${name}@${sha256(bytes)}`, { bytes, mediaType });
    return sha256(bytes);
  }

  addBlob(bytes: Buffer): string {
    this.blobs.set(sha256(bytes), bytes);
    return sha256(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = request;
    this.requests.push(`${method} ${url}`);
    this.authorizations.push(request.headers.authorization);
    if (this.misbehave(request, response)) return;
    const { pathname, searchParams } = new URL(url, 'http://x');
    if (pathname === '/token') return this.#token(request, response);
    if (!this.#knows(request)) return this.#challenge(response);
    const upload = /^\/v2\/(.+)\/blobs\/uploads\//.exec(pathname);
    if (upload) return await this.#upload(request, response, searchParams);
    const [, name = '', kind, reference = ''] = /^\/v2\/(.+)\/(blobs|manifests|tags)\/([^/]+)$/.exec(pathname) ?? [];
    if (kind === 'blobs') return this.#blob(request, response, reference);
    if (kind === 'tags') return answerJson(response, 200, { name, tags: this.#tagsOf(name) });
    if (kind === 'manifests' && method === 'PUT') return await this.#putManifest(request, response, name, reference);
    if (kind === 'manifests') return this.#manifest(response, name, reference);
    answerJson(response, 200, {});
  }

  #tagsOf(name: string): string[] {
    return [...this.manifests.keys()]
      .filter((key) => key.startsWith(`${name}:`))
      .map((key) => key.slice(name.length + 1));
  }

  #knows({ headers }: IncomingMessage): boolean {
    if (this.auth === 'none') return true;
    return headers.authorization === (this.auth === 'basic' ? basicOf(USER) : 'Bearer good-token');
  }

  #challenge(response: ServerResponse): void {
    const bearer = `Bearer realm="http://${this.host}/token",service="fake, \\"quoted\\""`;
    response.setHeader('WWW-Authenticate', this.auth === 'basic' ? 'Basic realm="fake"' : bearer);
    answerJson(response, 401, { errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }] });
  }

  #token(request: IncomingMessage, response: ServerResponse): void {
    const { authorization } = request.headers;
    if (request.method === 'GET' && authorization !== undefined && authorization !== basicOf(USER)) {
      return answerJson(response, 401, { details: 'incorrect username or password' });
    }
    answerJson(response, 200, { token: 'good-token', refresh_token: 'for-later' });
  }

  #manifest(response: ServerResponse, name: string, reference: string): void {
    const found = this.manifests.get(`${name}${reference.startsWith('sha256:') ? '@' : ':'}${reference}`);
    if (!found) return answerFault(response, 404, 'MANIFEST_UNKNOWN', 'manifest unknown');
    response.setHeader('Docker-Content-Digest', sha256(found.bytes));
    response.writeHead(200, { 'Content-Type': found.mediaType, 'Content-Length': found.bytes.length }).end(found.bytes);
  }

  #blob({ headers, method }: IncomingMessage, response: ServerResponse, digest: string): void {
    const bytes = this.blobs.get(digest);
    if (!bytes) return answerFault(response, 404, 'BLOB_UNKNOWN', 'blob unknown to registry');
    const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
    const part = bytes.subarray(start);
    const range = start === 0 ? {} : { 'Content-Range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(start === 0 ? 200 : 206, { 'Content-Length': part.length, ...range });
    response.end(method === 'HEAD' ? undefined : part);
  }

  async #upload(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): Promise<void> {
    if (request.method === 'POST') {
      const mounted = this.blobs.has(query.get('mount') ?? '');
      response.writeHead(mounted ? 201 : 202, { Location: `${request.url?.replace(/\?.*/, '')}1?state=abc` }).end();
      return;
    }
    const bytes = await bodyOf(request);
    if (sha256(bytes) !== query.get('digest')) return answerFault(response, 400, 'DIGEST_INVALID', 'wrong digest');
    this.addBlob(bytes);
    response.writeHead(201).end();
  }

  async #putManifest(request: IncomingMessage, response: ServerResponse, name: string, tag: string): Promise<void> {
    const bytes = await bodyOf(request);
    const entry = { bytes, mediaType: request.headers['content-type'] ?? '' };
    this.manifests.set(`${name}:${tag}`, entry);
    this.manifests.set(`${name}@${sha256(bytes)}`, entry);
    response.writeHead(201, { 'Docker-Content-Digest': sha256(bytes) }).end();
  }
}

export const basicOf = ({ username, password }: { username: string; password: string }): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

export function answerJson(response: ServerResponse, status: number, json: object): void {
  const bytes = Buffer.from(JSON.stringify(json));
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': bytes.length }).end(bytes);
}

export const answerFault = (response: ServerResponse, status: number, code: string, message: string): void =>
  answerJson(response, status, { errors: [{ code, message }] });
