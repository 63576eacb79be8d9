import { SegmentedControl } from "@mantine/core";
import { RANGES, type Range } from "../rules/times.ts";

const NAMES: Record<Range, string> = {
  "1d": "Today",
  "7d": "7 days",
  "30d": "30 days",
  "90d": "90 days",
};

/** The range of a report. */
export function RangeControl({
  value,
  onChange,
}: {
  value: Range;
  onChange: (range: Range) => void;
}) {
  return (
    <SegmentedControl
      className="range"
      aria-label="Range"
      data={(Object.keys(RANGES) as Range[]).map((each) => ({ value: each, label: NAMES[each] }))}
      value={value}
      onChange={(chosen) => onChange(chosen as Range)}
    />
  );
}
