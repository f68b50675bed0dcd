import { canonicalJson, type Json } from '@circuitscope/schema';

/** A record as the JSON document that it is, keys in their canonical order. */
export function documentOf(record: object): Json {
  const parsed: Json = JSON.parse(canonicalJson(record));
  return parsed;
}
