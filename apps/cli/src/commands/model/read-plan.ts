import { existsSync, readFileSync, statSync } from 'node:fs';
import { CircuitscopeError, invalidRecord, type Plan, parsePlan } from '@circuitscope/schema';

const MAX_PLAN_BYTES = 64_000_000;

/** A plan from a file. @throws CircuitscopeError `missing_file`, `bad_file`, `invalid_record` */
export function readPlan(path: string): Plan {
  if (!existsSync(path))
    throw new CircuitscopeError('missing_file', `${path} does not exist; check the path.`, { at: path });
  const found = statSync(path);
  if (!found.isFile() || found.size > MAX_PLAN_BYTES) {
    throw new CircuitscopeError(
      'bad_file',
      `${path} is no plan: give a JSON file of at most ${MAX_PLAN_BYTES} bytes.`,
      { at: path },
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new CircuitscopeError('invalid_record', `${path} is not valid JSON; write the plan again.`, {
      at: path,
      cause,
    });
  }
  const parsed = parsePlan(value);
  if (parsed.ok) return parsed.value;
  throw invalidRecord(parsed.issues, 'plan');
}
