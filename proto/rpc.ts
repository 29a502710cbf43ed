// gRPC as this project uses it: services loaded from their .proto file, calls with an abort and a deadline, and coded
// errors that keep their code across the wire.
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientOptions,
  type handleUnaryCall,
  Metadata,
  Server,
  type ServerCredentials,
  type ServerInterceptor,
  type ServerUnaryCall,
  type ServiceError,
  status,
  loadPackageDefinition,
} from '@grpc/grpc-js';
import { loadSync, type MethodDefinition } from '@grpc/proto-loader';
import { join } from 'node:path';
import { CodedError, codeOf, type ErrorCode, sentenceOf } from '../base/errors.ts';
import { PACKAGE_ROOT } from '../base/package-root.ts';

const PROTO_FOLDER = join(PACKAGE_ROOT, 'proto');

/** A typed method: what goes in and out on both ends, as proto-loader-gen-types names them. */
export type Method<RequestIn, ReplyIn, RequestOut, ReplyOut> = MethodDefinition<
  RequestIn,
  ReplyIn,
  RequestOut,
  ReplyOut
>;

/** Loads `file` and answers with its packages; the type parameter is the generated ProtoGrpcType. */
export function loadProto<ProtoGrpcType>(file: string): ProtoGrpcType {
  const definition = loadSync(file, {
    includeDirs: [PROTO_FOLDER],
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  return loadPackageDefinition(definition) as unknown as ProtoGrpcType;
}

// ---- Errors on the wire ----

const STATUS_OF_CODE = {
  invalid: status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
  'not-found': status.NOT_FOUND,
  'not-modified': status.ALREADY_EXISTS,
  conflict: status.FAILED_PRECONDITION,
  'out-of-sequence': status.ABORTED,
  exhausted: status.RESOURCE_EXHAUSTED,
  unavailable: status.UNAVAILABLE,
  'unknown-outcome': status.UNKNOWN,
  deadline: status.DEADLINE_EXCEEDED,
  aborted: status.CANCELLED,
  'not-implemented': status.UNIMPLEMENTED,
  internal: status.INTERNAL,
} as const satisfies Record<ErrorCode, status>;

/** For statuses that gRPC itself makes; ours carry their code beside them. */
const CODE_OF_STATUS: Readonly<Partial<Record<status, ErrorCode>>> = {
  [status.CANCELLED]: 'aborted',
  [status.INVALID_ARGUMENT]: 'invalid',
  [status.DEADLINE_EXCEEDED]: 'deadline',
  [status.NOT_FOUND]: 'not-found',
  [status.PERMISSION_DENIED]: 'forbidden',
  [status.RESOURCE_EXHAUSTED]: 'exhausted',
  [status.UNIMPLEMENTED]: 'not-implemented',
  [status.UNAVAILABLE]: 'unavailable',
  [status.UNAUTHENTICATED]: 'unauthenticated',
};

const CODE_KEY = 'shoal-code';
const DETAILS_MAX = 2_000;

/** What a handler's error looks like to gRPC. */
export function toStatus(error: unknown): { code: status; details: string; metadata: Metadata } {
  const code = codeOf(error);
  const metadata = new Metadata();
  metadata.set(CODE_KEY, code);
  return { code: STATUS_OF_CODE[code], details: sentenceOf(error).slice(0, DETAILS_MAX), metadata };
}

/** An error that the other side's code made, as opposed to one of the connection between. */
export class RemoteError extends CodedError {}

/** What came back as a coded error: a `RemoteError` when the other side answered, else a `CodedError`. */
export function fromStatus(error: ServiceError, where: string): CodedError {
  const [sent] = error.metadata?.get(CODE_KEY) ?? [];
  if (typeof sent === 'string' && sent in STATUS_OF_CODE) return new RemoteError(sent as ErrorCode, error.details);
  const code = CODE_OF_STATUS[error.code] ?? 'internal';
  return new CodedError(code, `${where}: ${error.details}`);
}

// ---- Calling ----

const KEEPALIVE_MS = 1_500;
const CHANNEL_OPTIONS = {
  // An address is not a name that a certificate could carry; `checkServerIdentity` looks at the subject instead.
  'grpc.ssl_target_name_override': 'shoal-manager',
  'grpc.default_authority': 'shoal-manager',
  'grpc.enable_http_proxy': 0,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.keepalive_time_ms': KEEPALIVE_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_MS,
} as const satisfies ClientOptions;

/** A connection to one address. Dispose it to close. */
export class Channel implements Disposable {
  readonly address: string;
  readonly #client: Client;

  constructor(address: string, credentials: ChannelCredentials, options: ClientOptions = {}) {
    this.address = address;
    this.#client = new Client(address, credentials, { ...CHANNEL_OPTIONS, ...options });
  }

  /** Resolves when connected; code `unavailable` when that takes longer than `withinMs`. */
  async ready(withinMs: number, abort?: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => reject(new CodedError('aborted', 'the caller went away'));
      if (abort?.aborted) return onAbort();
      abort?.addEventListener('abort', onAbort, { once: true });
      this.#client.waitForReady(new Date(Date.now() + withinMs), (error) => {
        abort?.removeEventListener('abort', onAbort);
        if (error) reject(new CodedError('unavailable', `${this.address} does not answer`, { cause: error }));
        else resolve();
      });
    });
  }

  async call<RequestIn, ReplyIn, RequestOut, ReplyOut>(
    method: Method<RequestIn, ReplyIn, RequestOut, ReplyOut>,
    request: RequestIn,
    options: { withinMs: number; abort?: AbortSignal | undefined; metadata?: Metadata },
  ): Promise<ReplyOut> {
    return await new Promise<ReplyOut>((resolve, reject) => {
      if (options.abort?.aborted) return reject(new CodedError('aborted', 'the caller went away'));
      const callOptions: CallOptions = { deadline: Date.now() + options.withinMs };
      const call = this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        options.metadata ?? new Metadata(),
        callOptions,
        (error, reply) => {
          options.abort?.removeEventListener('abort', onAbort);
          if (error) reject(fromStatus(error, this.address));
          else resolve(reply as ReplyOut);
        },
      );
      const onAbort = (): void => call.cancel();
      options.abort?.addEventListener('abort', onAbort, { once: true });
    });
  }

  stream<RequestIn, ReplyIn, RequestOut, ReplyOut>(
    method: Method<RequestIn, ReplyIn, RequestOut, ReplyOut>,
  ): ClientDuplexStream<RequestIn, ReplyOut> {
    return this.#client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** Something that only the leader can do. */
export interface LeaderWork<T> {
  readonly local: (abort: AbortSignal) => Promise<T>;
  readonly remote: (channel: Channel, abort: AbortSignal) => Promise<T>;
  /** Asked again when the leader is lost on the way; otherwise that is `unknown-outcome`. */
  readonly repeatable: boolean;
  readonly abort?: AbortSignal | undefined;
}

/** How a manager's parts get something done by whoever leads now. */
export interface LeaderLink {
  /**
   * Runs `local` when this manager leads, else `remote` with a channel to the leader, and waits for one in between.
   * Code `unavailable` when no leader did it in time.
   */
  run<T>(work: LeaderWork<T>): Promise<T>;
}

// ---- Serving ----

export interface ServerLimits {
  readonly messageBytesMax: number;
  readonly streamsMax: number; // on one connection
}

export function newServer(limits: ServerLimits, interceptors: readonly ServerInterceptor[]): Server {
  return new Server({
    'grpc.max_receive_message_length': limits.messageBytesMax,
    'grpc.max_concurrent_streams': limits.streamsMax,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_MS,
    interceptors: [...interceptors],
  });
}

/** Binds and answers with the port; code `conflict` when the address is taken. */
export async function listen(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  return await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error) reject(new CodedError('conflict', `can not listen on ${address}`, { cause: error }));
      else resolve(port);
    });
  });
}

/** A handler that answers with a promise; errors travel with their code. */
export function unaryHandler<RequestOut, ReplyIn>(
  handle: (request: RequestOut, call: ServerUnaryCall<RequestOut, ReplyIn>, abort: AbortSignal) => Promise<ReplyIn>,
): handleUnaryCall<RequestOut, ReplyIn> {
  return (call, callback) => {
    const controller = new AbortController();
    call.once('cancelled', () => controller.abort(new CodedError('aborted', 'the caller went away')));
    handle(call.request, call, controller.signal).then(
      (reply) => callback(null, reply),
      (error: unknown) => callback(toStatus(error)),
    );
  };
}
