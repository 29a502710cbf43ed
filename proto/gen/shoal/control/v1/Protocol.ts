// Original file: control.proto


export interface ProtocolInput {
  'minimum'?: (number);
  'maximum'?: (number);
  'features'?: (string)[];
}

export interface Protocol {
  'minimum': (number);
  'maximum': (number);
  'features': (string)[];
}
