// Original file: control.proto


export interface CallerInput {
  'id'?: (string);
  'role'?: (string);
  'forwardedBy'?: (string);
}

export interface Caller {
  'id': (string);
  'role': (string);
  'forwardedBy': (string);
}
