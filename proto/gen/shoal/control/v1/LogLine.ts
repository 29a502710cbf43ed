// Original file: control.proto


// Original file: control.proto

export const _shoal_control_v1_LogLine_Stream = {
  STREAM_UNSPECIFIED: 'STREAM_UNSPECIFIED',
  STREAM_STDOUT: 'STREAM_STDOUT',
  STREAM_STDERR: 'STREAM_STDERR',
} as const;

export type _shoal_control_v1_LogLine_StreamInput =
  | 'STREAM_UNSPECIFIED'
  | 0
  | 'STREAM_STDOUT'
  | 1
  | 'STREAM_STDERR'
  | 2

export type _shoal_control_v1_LogLine_Stream = typeof _shoal_control_v1_LogLine_Stream[keyof typeof _shoal_control_v1_LogLine_Stream]

export interface LogLineInput {
  'serviceId'?: (string);
  'taskId'?: (string);
  'nodeId'?: (string);
  'stream'?: (_shoal_control_v1_LogLine_StreamInput);
  'timestamp'?: (string);
  'bytes'?: (Buffer | Uint8Array | string);
}

export interface LogLine {
  'serviceId': (string);
  'taskId': (string);
  'nodeId': (string);
  'stream': (_shoal_control_v1_LogLine_Stream);
  'timestamp': (string);
  'bytes': (Buffer);
}
