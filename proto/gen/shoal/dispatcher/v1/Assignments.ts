// Original file: dispatcher.proto

import type { AssignmentInput as _shoal_dispatcher_v1_AssignmentInput, Assignment as _shoal_dispatcher_v1_Assignment } from '../../../shoal/dispatcher/v1/Assignment.ts';
import type { Long } from '@grpc/proto-loader';

export interface AssignmentsInput {
  'full'?: (boolean);
  'fromIndex'?: (number | string | Long);
  'toIndex'?: (number | string | Long);
  'changes'?: (_shoal_dispatcher_v1_AssignmentInput)[];
  'more'?: (boolean);
}

export interface Assignments {
  'full': (boolean);
  'fromIndex': (number);
  'toIndex': (number);
  'changes': (_shoal_dispatcher_v1_Assignment)[];
  'more': (boolean);
}
