// Original file: dispatcher.proto


export interface ClusterNewsInput {
  'managerAddresses'?: (string)[];
  'role'?: (string);
  'rootsPem'?: (string)[];
}

export interface ClusterNews {
  'managerAddresses': (string)[];
  'role': (string);
  'rootsPem': (string)[];
}
