// Original file: dispatcher.proto


export interface StreamEndInput {
  'error'?: (string);
}

export interface StreamEnd {
  'error': (string);
}
