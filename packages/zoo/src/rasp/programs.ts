import type { RaspProgram, RaspVariable, Selector } from './rasp-program.ts';

// Programs of the RASP and Tracr papers, and one of our own for balanced brackets of two kinds.

const letters = ['a', 'b', 'c'];
const upTo: Selector = { keys: 'indices', queries: 'indices', predicate: { kind: 'at_most' } };
const everywhere: Selector = { keys: 'tokens', queries: 'tokens', predicate: { kind: 'always' } };
const lengthVariable: RaspVariable = { kind: 'selector_width', name: 'length', selector: everywhere };

/** A number that is 1 where the token is `value`, and its share of the tokens up to here. */
function shareUpTo(value: string, name: string): RaspVariable[] {
  return [
    { kind: 'map', name: `is_${name}`, of: 'tokens', fn: { kind: 'equals', value }, as: 'numeric' },
    { kind: 'aggregate', name: `share_${name}`, selector: upTo, of: `is_${name}` },
  ];
}

export const fracPrevs: RaspProgram = {
  name: 'frac-prevs',
  title: 'Share of x so far',
  vocabulary: ['w', 'x', 'y', 'z'],
  length: 5,
  variables: shareUpTo('x', 'x'),
  output: 'share_x',
};

export const shiftByOne: RaspProgram = {
  name: 'shift-by-1',
  title: 'The token before',
  vocabulary: letters,
  length: 5,
  variables: [
    {
      kind: 'aggregate',
      name: 'shifted',
      selector: { keys: 'indices', queries: 'indices', predicate: { kind: 'offset', by: 1 } },
      of: 'tokens',
    },
  ],
  output: 'shifted',
};

export const hist: RaspProgram = {
  name: 'hist',
  title: 'How often this token occurs',
  vocabulary: letters,
  length: 5,
  variables: [
    {
      kind: 'selector_width',
      name: 'hist',
      selector: { keys: 'tokens', queries: 'tokens', predicate: { kind: 'equal' } },
    },
  ],
  output: 'hist',
};

export const length: RaspProgram = {
  name: 'length',
  title: 'How long the input is',
  vocabulary: letters,
  length: 5,
  variables: [lengthVariable],
  output: 'length',
};

/** Everything goes where as many keys are smaller. */
const sortedBy = (keys: string): RaspVariable[] => [
  {
    kind: 'selector_width',
    name: 'target_pos',
    selector: { keys, queries: keys, predicate: { kind: 'less' } },
  },
  {
    kind: 'aggregate',
    name: 'sorted',
    selector: { keys: 'target_pos', queries: 'indices', predicate: { kind: 'equal' } },
    of: 'tokens',
  },
];

export const sortUnique: RaspProgram = {
  name: 'sort-unique',
  title: 'Sorting different numbers',
  vocabulary: [1, 2, 3, 4],
  length: 4,
  variables: sortedBy('tokens'),
  output: 'sorted',
};

export const sort: RaspProgram = {
  name: 'sort',
  title: 'Sorting',
  vocabulary: [1, 2, 3, 4],
  length: 4,
  variables: [
    // Equal numbers keep their order: a quarter more per place.
    {
      kind: 'sequence_map',
      name: 'key',
      left: 'tokens',
      right: 'indices',
      fn: { kind: 'add_scaled', factor: 0.25 },
      as: 'categorical',
    },
    ...sortedBy('key'),
  ],
  output: 'sorted',
};

export const reverse: RaspProgram = {
  name: 'reverse',
  title: 'Reversing',
  vocabulary: [1, 2, 3],
  length: 5,
  variables: [
    lengthVariable,
    {
      kind: 'sequence_map',
      name: 'places_left',
      left: 'length',
      right: 'indices',
      fn: { kind: 'subtract' },
      as: 'categorical',
    },
    { kind: 'map', name: 'opposite', of: 'places_left', fn: { kind: 'add', value: -1 }, as: 'categorical' },
    {
      kind: 'aggregate',
      name: 'reversed',
      selector: { keys: 'indices', queries: 'opposite', predicate: { kind: 'equal' } },
      of: 'tokens',
    },
  ],
  output: 'reversed',
};

/** Share of open minus share of closed brackets so far. */
function balance([open, close]: readonly [string, string], name: string): RaspVariable[] {
  const [left, right] = [`${name}_open`, `${name}_close`];
  const [isOpen, shareOpen] = shareUpTo(open, left);
  const [isClose, shareClose] = shareUpTo(close, right);
  const difference: RaspVariable = {
    kind: 'linear_map',
    name: `${name}_balance`,
    left: `share_${left}`,
    right: `share_${right}`,
    weights: [1, -1],
  };
  return [isOpen, isClose, shareOpen, shareClose, difference].filter((variable) => variable !== undefined);
}

export const pairBalance: RaspProgram = {
  name: 'pair-balance',
  title: 'Open minus closed brackets so far',
  vocabulary: ['(', ')', 'x'],
  length: 5,
  variables: balance(['(', ')'], 'round'),
  output: 'round_balance',
};

const isLetter = (value: string): RaspVariable => ({
  kind: 'map',
  name: `is_${value}`,
  of: 'tokens',
  fn: { kind: 'equals', value },
  as: 'categorical',
});
const shifted = (name: string, of: string, by: number): RaspVariable => ({
  kind: 'aggregate',
  name,
  selector: { keys: 'indices', queries: 'indices', predicate: { kind: 'offset', by } },
  of,
});

export const detectPattern: RaspProgram = {
  name: 'detect-pattern',
  title: 'Where abc ends',
  vocabulary: letters,
  length: 5,
  variables: [
    isLetter('c'),
    isLetter('b'),
    isLetter('a'),
    shifted('a_two_before', 'is_a', 2),
    shifted('b_one_before', 'is_b', 1),
    {
      kind: 'sequence_map',
      name: 'ab_before',
      left: 'a_two_before',
      right: 'b_one_before',
      fn: { kind: 'and' },
      as: 'categorical',
    },
    { kind: 'sequence_map', name: 'abc', left: 'ab_before', right: 'is_c', fn: { kind: 'and' }, as: 'categorical' },
  ],
  output: 'abc',
};

const sideOfZero = (name: string, of: string, kind: 'less_than' | 'greater_than'): RaspVariable => ({
  kind: 'map',
  name,
  of,
  fn: { kind, value: 0 },
  as: 'categorical',
});
const either = (name: string, left: string, right: string, as: 'categorical' | 'numeric'): RaspVariable => ({
  kind: 'sequence_map',
  name,
  left,
  right,
  fn: { kind: 'or' },
  as,
});

/** Balanced if no prefix has more closed than open brackets of a kind, and the whole has not more open ones. */
export const shuffleDyck2: RaspProgram = {
  name: 'shuffle-dyck2',
  title: 'Balanced brackets of two kinds',
  vocabulary: ['(', ')', '{', '}'],
  length: 5,
  variables: [
    lengthVariable,
    ...balance(['(', ')'], 'round'),
    ...balance(['{', '}'], 'curly'),
    { kind: 'map', name: 'last', of: 'length', fn: { kind: 'add', value: -1 }, as: 'categorical' },
    sideOfZero('round_below', 'round_balance', 'less_than'),
    sideOfZero('curly_below', 'curly_balance', 'less_than'),
    sideOfZero('round_above', 'round_balance', 'greater_than'),
    sideOfZero('curly_above', 'curly_balance', 'greater_than'),
    either('below', 'round_below', 'curly_below', 'numeric'),
    either('above', 'round_above', 'curly_above', 'categorical'),
    {
      kind: 'aggregate',
      name: 'share_below',
      selector: everywhere,
      of: 'below',
    },
    {
      kind: 'aggregate',
      name: 'above_at_end',
      selector: { keys: 'indices', queries: 'last', predicate: { kind: 'equal' } },
      of: 'above',
    },
    sideOfZero('ever_below', 'share_below', 'greater_than'),
    {
      kind: 'sequence_map',
      name: 'unbalanced',
      left: 'ever_below',
      right: 'above_at_end',
      fn: { kind: 'or' },
      as: 'categorical',
    },
  ],
  output: 'unbalanced',
};

export const raspPrograms: readonly RaspProgram[] = [
  fracPrevs,
  shiftByOne,
  hist,
  length,
  sortUnique,
  reverse,
  pairBalance,
  sort,
  detectPattern,
  shuffleDyck2,
];
