SET lock_timeout = '5s';
CREATE INDEX events_kind_idx ON ONLY events (kind);
RESET lock_timeout;
CREATE INDEX CONCURRENTLY events_2025_kind_idx ON events_2025 (kind);
CREATE INDEX CONCURRENTLY events_2026_kind_idx ON events_2026 (kind);
SET lock_timeout = '5s';
ALTER INDEX events_kind_idx ATTACH PARTITION events_2025_kind_idx;
ALTER INDEX events_kind_idx ATTACH PARTITION events_2026_kind_idx;
