import { expect, test } from 'vitest';
import { jsonSchema, schemaNames } from './json-schema.ts';

function* objectsIn(value: unknown): Generator<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield Object.fromEntries(Object.entries(value));
  for (const child of Object.values(value)) yield* objectsIn(child);
}

test.each(schemaNames)('the schema of %s is draft 2020-12 and JSON throughout', (name) => {
  const schema = jsonSchema(name);
  expect(schema.$schema).toBe('https://json-schema.org/draft/2020-12/schema');
  expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
});

test.each(schemaNames)('every reference in the schema of %s leads to one of its own definitions', (name) => {
  const schema = jsonSchema(name);
  const known = Object.keys(schema.$defs ?? {}).map((key) => `#/$defs/${key}`);
  for (const object of objectsIn(schema)) {
    if (typeof object.$ref === 'string') expect(known).toContain(object.$ref);
  }
});

test.each(schemaNames)('no object of the schema of %s admits unknown keys', (name) => {
  for (const object of objectsIn(jsonSchema(name))) {
    if (object.type !== 'object') continue;
    // A table from names to values says what its values are; every other object lists its keys.
    if ('propertyNames' in object) expect(object.additionalProperties).toBeTypeOf('object');
    else expect(object.additionalProperties).toBe(false);
  }
});

test('what may be left out is not required', () => {
  expect(jsonSchema('scope').required).toEqual(['site']);
  expect(jsonSchema('plan').required).toEqual(['kind', 'version', 'graph', 'interventions', 'readouts']);
});

test('an unknown name is an error that lists the known ones', () => {
  expect(() => jsonSchema('toString')).toThrow(expect.objectContaining({ code: 'unknown_schema', got: 'toString' }));
});
