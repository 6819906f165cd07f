// What the page says, in each of its languages; {name} is filled in.

const en = {
  title: "Partner Center referrals",
  language: "Language", status_region: "State of the synchronisation", pages: "Pages",
  runs: "Runs", sync_now: "Sync now", syncing: "Syncing…", csv: "Download CSV", csv_busy: "{count} rows…",
  search: "Search", search_hint: "Company, domain or deal", all: "All", any_status: "Any status",
  open_status: "Open (New, Active)", status_New: "New", status_Active: "Active", status_Closed: "Closed",
  any_expiry: "Any expiry", expiring: "Expiring", expiring_3: "Expires within 3 days",
  expiring_7: "Expires within 7 days", expiring_14: "Expires within 14 days", clear: "Clear filters",
  type: "Type", company: "Company", status: "Status", deal_value: "Deal value", closing: "Closing",
  expires: "Expires", updated: "Updated", previous: "Previous", next: "Next", close: "Close",
  "type_co-sell": "Co-sell", type_marketplace: "Marketplace", "type_solution-provider": "Solution provider",
  type_other: "Unclassified",
  no_company: "No company name", no_domain: "No domain", no_currency: "no currency",
  missing_since: "Not in Partner Center since {when}",
  days_left: "{count} days left", day_left: "1 day left", expires_today: "expires today", expired: "expired",
  shown: "{from}–{to} of {total}", shown_more: "{from}–{to} of more than {total}", shown_plain: "{from}–{to}",
  empty: "No referrals yet", empty_hint: "They appear after the first completed sync. What the filter settings leave out is listed with its reason in the run.",
  empty_filtered: "Nothing matches these filters", load_failed: "The referrals could not be loaded",
  retry: "Try again", unreachable: "The app does not answer. Trying again by itself.",
  as_operator: "Operator", as_reader: "Reader", version: "Version {version}",

  level_ok: "In sync", level_running: "Syncing", level_disabled: "The feature is switched off",
  level_unknown: "State unknown", never: "never",
  last_success: "Last success {when}", no_success: "No success yet", next_due: "next {when}",
  last_sweep: "everything compared {when}",
  figure_referrals: "Referrals", figure_open: "Open", figure_quarantine: "Quarantine", figure_drift: "Drift",
  figure_missing: "Missing", figure_sign_in: "Sign-in renewed",
  running_words: "{pages} pages · {fetched} read · {inserted} new · {updated} changed",
  running_start: "Starting…", running_trigger_timer: "by schedule", running_trigger_http: "by hand", running_trigger_command: "by command",
  "running_trigger_timer-late": "by schedule, late",

  alarm_feature_disabled: "The feature is switched off",
  alarm_feature_disabled_hint: "Set HUNTER_PARTNER_CENTER_ENABLED to true in the app settings. Stored referrals stay readable.",
  alarm_sign_in_needed: "Sign-in to Partner Center is needed",
  alarm_sign_in_needed_hint: "Until somebody signs in, nothing new arrives.",
  alarm_admin_consent_needed: "An administrator has to consent",
  alarm_admin_consent_needed_hint: "A Global Administrator grants the app's delegated permission in Entra ID, then sign in again.",
  alarm_blocked_by_policy: "A Conditional Access policy blocks the sign-in",
  alarm_blocked_by_policy_hint: "Ask your Entra administrator to look at the correlation id in the sign-in logs.",
  alarm_misconfigured: "The app registration or a setting is wrong",
  alarm_misconfigured_hint: "Compare client id, tenant id and scope with the app registration.",
  alarm_account_problem: "The account that signed in cannot be used",
  alarm_account_problem_hint: "It may be disabled or lack the Referrals role. Sign in with another one.",
  alarm_sign_in_unknown: "Nobody has signed in yet",
  alarm_sign_in_unknown_hint: "Sign in once; from then on the app renews its access by itself.",
  alarm_renewal_due: "The sign-in has not been renewed for {days} days",
  alarm_renewal_due_hint: "It dies after 90 days. Sign in again soon.",
  alarm_missed: "No success for three scheduled times",
  alarm_missed_hint: "Look at the runs and at the app's log.",
  alarm_last_run_failed: "The last run failed",
  alarm_last_run_interrupted: "The last run was interrupted",
  alarm_last_run_interrupted_hint: "What it saved stays saved; the next run goes on.",
  alarm_visibility_shrank: "{unseen} of {present} referrals are no longer visible",
  alarm_visibility_shrank_hint: "Nothing was marked as missing. Does the account still have the Referrals Admin role? Accept only if these referrals are really gone.",
  alarm_sweep_overdue: "The full comparison is overdue",
  alarm_sweep_overdue_hint: "It last ended {when}. Runs may be ending before it is through.",
  alarm_drift: "{count} referrals had changed without telling",
  alarm_drift_hint: "The full comparison found them; they are stored now. If it happens again, shorten HUNTER_PARTNER_CENTER_FULL_SYNC_EVERY.",
  alarm_quarantine: "{count} referrals could not be understood",
  alarm_quarantine_hint: "They are kept in quarantine and tried again on request.",
  alarm_migration_behind: "The database schema is not the one that this version expects",
  alarm_migration_behind_hint: "Run: python -m pc_core migrate",

  sync_completed: "Sync completed", sync_partial: "Sync ended at its time limit; the next run goes on",
  sync_already_running: "Another run is already at work", sync_already_running_hint: "Its progress is shown above. Nothing was started.",
  sync_feature_disabled: "Nothing was done: the feature is switched off",
  sync_failed: "Sync failed", sync_no_answer: "No answer from the app; the run may be going on",
  result: "{inserted} new, {updated} changed, {unchanged} unchanged, {skipped} left out, {quarantined} in quarantine",
  nothing_new: "Nothing new.", left_out: "Left out by the filter settings:",
  skip_direction_outgoing: "outgoing", skip_status_closed: "closed", skip_substatus_excluded: "sub-status excluded",
  skip_duplicate: "duplicate",

  key_title: "Operator's key", key_hint: "This app asks for its key (HUNTER_API_KEY). It is kept for this tab only.",
  key_wrong: "That key is not right.", key_label: "Key", key_enter: "Continue", key_needed: "The operator's key is needed", key_open: "Enter key", forget_key: "Forget key",
  login_title: "Sign in to see referrals", login_hint: "Your organisation's account is used.", login: "Sign in",
  denied_title: "No access",

  sign_in: "Sign in…", sign_in_title: "Sign in to Partner Center",
  sign_in_hint: "Open the address, enter the code, and sign in with the account that reads the referrals.",
  sign_in_open: "Open the sign-in page", copy: "Copy", copied: "Copied",
  sign_in_waiting: "Waiting for the sign-in… the code is good until {when}.",
  sign_in_done: "Signed in as {name}", sign_in_failed: "The sign-in did not succeed",
  sign_in_other: "This is another account than before: {name}. Use it from now on?",
  sign_in_confirm: "Use this account", sign_in_again: "Start again",

  accept: "Accept…", accept_title: "Mark them as missing?",
  accept_hint: "A full comparison runs now, and referrals that Partner Center no longer knows are marked as missing, however many they are. None is deleted.",
  accept_confirm: "Accept and compare", cancel: "Cancel", show: "Show",

  detail_facts: "Deal", contacts: "Customer's people", team: "Partner's people", history: "History",
  none: "none", country: "Country", city: "City", size: "Size", direction: "Direction", category: "Category",
  qualification: "Qualification", created: "Created", accepted: "Accepted", closed: "Closed", first_seen: "First seen here",
  synced: "Last written here", reference: "Own reference", engagement: "Engagement", rule: "Type decided by",
  domain: "Domain", domain_source: "Domain found in", status_reason: "Reason", open_pc: "Open in Partner Center",
  copy_id: "Copy id", raw: "Show raw data", field: "Field", before: "Before", after: "After", when: "When",
  more_history: "Older changes are not shown.",

  runs_title: "Runs", run_started: "Started", run_state: "Result", run_trigger: "Started by", run_new: "New",
  run_updated: "Changed", run_skipped: "Left out", run_duration: "Took", run_fetched: "Read",
  state_running: "Running", state_completed: "Completed", state_partial: "Partial", state_failed: "Failed",
  state_interrupted: "Interrupted", no_runs: "No run yet.", more: "More",
  quarantine_title: "Quarantine", quarantine_empty: "Nothing waits here.", replay: "Try again now",
  quarantine_reason: "Reason", quarantine_field: "Field", quarantine_since: "Since", referral_id: "Referral",
  seconds: "{count} s",
};

const tr = {
  title: "Partner Center yönlendirmeleri",
  language: "Dil", status_region: "Eşitleme durumu", pages: "Sayfalar",
  runs: "Çalışmalar", sync_now: "Şimdi eşitle", syncing: "Eşitleniyor…", csv: "CSV indir", csv_busy: "{count} satır…",
  search: "Ara", search_hint: "Şirket, alan adı veya fırsat", all: "Tümü", any_status: "Tüm durumlar",
  open_status: "Açık (Yeni, Aktif)", status_New: "Yeni", status_Active: "Aktif", status_Closed: "Kapalı",
  any_expiry: "Tüm süreler", expiring: "Süresi dolacak", expiring_3: "3 gün içinde dolacak",
  expiring_7: "7 gün içinde dolacak", expiring_14: "14 gün içinde dolacak", clear: "Filtreleri temizle",
  type: "Tür", company: "Şirket", status: "Durum", deal_value: "Fırsat değeri", closing: "Kapanış",
  expires: "Son gün", updated: "Güncellendi", previous: "Önceki", next: "Sonraki", close: "Kapat",
  "type_co-sell": "Co-sell", type_marketplace: "Marketplace", "type_solution-provider": "Çözüm sağlayıcı",
  type_other: "Sınıflanmamış",
  no_company: "Şirket adı yok", no_domain: "Alan adı yok", no_currency: "para birimi yok",
  missing_since: "{when} tarihinden beri Partner Center'da yok",
  days_left: "{count} gün kaldı", day_left: "1 gün kaldı", expires_today: "bugün doluyor", expired: "süresi doldu",
  shown: "{from}–{to} / {total}", shown_more: "{from}–{to} / {total} üzeri", shown_plain: "{from}–{to}",
  empty: "Henüz yönlendirme yok", empty_hint: "İlk tamamlanan eşitlemeden sonra burada görünür. Filtre ayarlarının dışarıda bıraktıkları, nedenleriyle çalışmada yazar.",
  empty_filtered: "Bu filtrelere uyan kayıt yok", load_failed: "Yönlendirmeler yüklenemedi",
  retry: "Yeniden dene", unreachable: "Uygulama yanıt vermiyor. Kendiliğinden yeniden deneniyor.",
  as_operator: "Operatör", as_reader: "Okuyucu", version: "Sürüm {version}",

  level_ok: "Güncel", level_running: "Eşitleniyor", level_disabled: "Özellik kapalı",
  level_unknown: "Durum bilinmiyor", never: "hiç",
  last_success: "Son başarı {when}", no_success: "Henüz başarılı eşitleme yok", next_due: "sıradaki {when}",
  last_sweep: "tam karşılaştırma {when}",
  figure_referrals: "Yönlendirme", figure_open: "Açık", figure_quarantine: "Karantina", figure_drift: "Sapma",
  figure_missing: "Kayıp", figure_sign_in: "Oturum yenilendi",
  running_words: "{pages} sayfa · {fetched} okundu · {inserted} yeni · {updated} değişti",
  running_start: "Başlıyor…", running_trigger_timer: "zamanlayıcı", running_trigger_http: "elle", running_trigger_command: "komutla",
  "running_trigger_timer-late": "zamanlayıcı, geç",

  alarm_feature_disabled: "Özellik kapalı",
  alarm_feature_disabled_hint: "Uygulama ayarlarında HUNTER_PARTNER_CENTER_ENABLED değerini true yapın. Kayıtlı yönlendirmeler okunabilir.",
  alarm_sign_in_needed: "Partner Center oturumu gerekli",
  alarm_sign_in_needed_hint: "Biri oturum açana kadar yeni kayıt gelmez.",
  alarm_admin_consent_needed: "Bir yöneticinin onayı gerekli",
  alarm_admin_consent_needed_hint: "Global Administrator, uygulamanın temsilci iznini Entra ID'de onaylar; sonra yeniden oturum açın.",
  alarm_blocked_by_policy: "Koşullu Erişim ilkesi oturumu engelliyor",
  alarm_blocked_by_policy_hint: "Entra yöneticinizden oturum günlüklerinde bağıntı kimliğine bakmasını isteyin.",
  alarm_misconfigured: "Uygulama kaydı veya bir ayar yanlış",
  alarm_misconfigured_hint: "İstemci kimliği, kiracı kimliği ve kapsamı uygulama kaydıyla karşılaştırın.",
  alarm_account_problem: "Oturum açan hesap kullanılamıyor",
  alarm_account_problem_hint: "Kapatılmış veya Referrals rolü alınmış olabilir. Başka bir hesapla oturum açın.",
  alarm_sign_in_unknown: "Henüz kimse oturum açmadı",
  alarm_sign_in_unknown_hint: "Bir kez oturum açın; sonrasını uygulama kendisi yeniler.",
  alarm_renewal_due: "Oturum {days} gündür yenilenmedi",
  alarm_renewal_due_hint: "90 gün sonra geçersiz olur. Yakında yeniden oturum açın.",
  alarm_missed: "Üç planlı zamandır başarı yok",
  alarm_missed_hint: "Çalışmalara ve uygulamanın günlüğüne bakın.",
  alarm_last_run_failed: "Son çalışma başarısız",
  alarm_last_run_interrupted: "Son çalışma yarıda kaldı",
  alarm_last_run_interrupted_hint: "Kaydettikleri duruyor; sıradaki çalışma devam eder.",
  alarm_visibility_shrank: "{present} yönlendirmeden {unseen} tanesi artık görünmüyor",
  alarm_visibility_shrank_hint: "Hiçbiri kayıp sayılmadı. Hesapta Referrals Admin rolü hâlâ var mı? Yalnızca gerçekten yoklarsa onaylayın.",
  alarm_sweep_overdue: "Tam karşılaştırma gecikti",
  alarm_sweep_overdue_hint: "Son bitişi: {when}. Çalışmalar ona yetişemeden bitiyor olabilir.",
  alarm_drift: "{count} yönlendirme haber vermeden değişmiş",
  alarm_drift_hint: "Tam karşılaştırma buldu ve kaydetti. Yinelenirse HUNTER_PARTNER_CENTER_FULL_SYNC_EVERY değerini kısaltın.",
  alarm_quarantine: "{count} yönlendirme anlaşılamadı",
  alarm_quarantine_hint: "Karantinada duruyorlar; istenince yeniden denenir.",
  alarm_migration_behind: "Veritabanı şeması bu sürümün beklediği şema değil",
  alarm_migration_behind_hint: "Çalıştırın: python -m pc_core migrate",

  sync_completed: "Eşitleme tamamlandı", sync_partial: "Eşitleme süre sınırında durdu; sıradaki çalışma devam eder",
  sync_already_running: "Başka bir çalışma sürüyor", sync_already_running_hint: "İlerlemesi yukarıda. Yeni bir şey başlatılmadı.",
  sync_feature_disabled: "Bir şey yapılmadı: özellik kapalı",
  sync_failed: "Eşitleme başarısız", sync_no_answer: "Uygulama yanıt vermedi; çalışma sürüyor olabilir",
  result: "{inserted} yeni, {updated} değişti, {unchanged} aynı, {skipped} dışarıda, {quarantined} karantinada",
  nothing_new: "Yeni bir şey yok.", left_out: "Filtre ayarlarının dışarıda bıraktıkları:",
  skip_direction_outgoing: "giden", skip_status_closed: "kapalı", skip_substatus_excluded: "alt durum hariç",
  skip_duplicate: "yinelenen",

  key_title: "Operatör anahtarı", key_hint: "Uygulama anahtarını istiyor (HUNTER_API_KEY). Yalnızca bu sekme için tutulur.",
  key_wrong: "Anahtar doğru değil.", key_label: "Anahtar", key_enter: "Devam", key_needed: "Operatör anahtarı gerekli", key_open: "Anahtarı gir", forget_key: "Anahtarı unut",
  login_title: "Yönlendirmeler için oturum açın", login_hint: "Kuruluşunuzun hesabı kullanılır.", login: "Oturum aç",
  denied_title: "Erişim yok",

  sign_in: "Oturum aç…", sign_in_title: "Partner Center oturumu",
  sign_in_hint: "Adresi açın, kodu girin ve yönlendirmeleri okuyan hesapla oturum açın.",
  sign_in_open: "Oturum sayfasını aç", copy: "Kopyala", copied: "Kopyalandı",
  sign_in_waiting: "Oturum bekleniyor… kod {when} saatine kadar geçerli.",
  sign_in_done: "{name} olarak oturum açıldı", sign_in_failed: "Oturum açılamadı",
  sign_in_other: "Bu, öncekinden başka bir hesap: {name}. Bundan sonra bu mu kullanılsın?",
  sign_in_confirm: "Bu hesabı kullan", sign_in_again: "Baştan başla",

  accept: "Onayla…", accept_title: "Kayıp sayılsınlar mı?",
  accept_hint: "Şimdi tam bir karşılaştırma yapılır; Partner Center'ın artık tanımadıkları, sayıları ne olursa olsun kayıp sayılır. Hiçbiri silinmez.",
  accept_confirm: "Onayla ve karşılaştır", cancel: "Vazgeç", show: "Göster",

  detail_facts: "Fırsat", contacts: "Müşterinin kişileri", team: "İş ortağının kişileri", history: "Geçmiş",
  none: "yok", country: "Ülke", city: "Şehir", size: "Büyüklük", direction: "Yön", category: "Kategori",
  qualification: "Nitelik", created: "Oluşturuldu", accepted: "Kabul edildi", closed: "Kapandı", first_seen: "Burada ilk görülme",
  synced: "Burada son yazılma", reference: "Kendi referansı", engagement: "İlişki", rule: "Türü belirleyen",
  domain: "Alan adı", domain_source: "Alan adının kaynağı", status_reason: "Neden", open_pc: "Partner Center'da aç",
  copy_id: "Kimliği kopyala", raw: "Ham veriyi göster", field: "Alan", before: "Önce", after: "Sonra", when: "Ne zaman",
  more_history: "Daha eski değişiklikler gösterilmiyor.",

  runs_title: "Çalışmalar", run_started: "Başladı", run_state: "Sonuç", run_trigger: "Başlatan", run_new: "Yeni",
  run_updated: "Değişen", run_skipped: "Dışarıda", run_duration: "Süre", run_fetched: "Okunan",
  state_running: "Sürüyor", state_completed: "Tamamlandı", state_partial: "Kısmi", state_failed: "Başarısız",
  state_interrupted: "Yarıda kaldı", no_runs: "Henüz çalışma yok.", more: "Daha fazla",
  quarantine_title: "Karantina", quarantine_empty: "Bekleyen yok.", replay: "Şimdi yeniden dene",
  quarantine_reason: "Neden", quarantine_field: "Alan", quarantine_since: "Ne zamandan beri", referral_id: "Yönlendirme",
  seconds: "{count} sn",
};

const dictionaries = { en, tr };
const remembered = "partner-center-language";

function recall() {
  try { return localStorage.getItem(remembered); } catch { return null; }
}

function firstLanguage() {
  const wished = [recall(), ...navigator.languages].filter(Boolean);
  for (const language of wished) {
    const short = language.slice(0, 2).toLowerCase();
    if (short in dictionaries) return short;
  }
  return "en";
}

export let language = firstLanguage();

export function setLanguage(chosen) {
  language = chosen;
  try { localStorage.setItem(remembered, chosen); } catch { /* storage may be switched off */ }
}

export function has(name) {
  return Object.hasOwn(dictionaries[language], name);
}

export function text(name, values = {}) {
  const found = dictionaries[language][name] ?? en[name] ?? name;
  return found.replace(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
}

// The visitor's own variant of the language, for dates and numbers.
function locale() {
  return navigator.languages.find((wished) => wished.slice(0, 2).toLowerCase() === language) ?? language;
}

// -- Words for instants, amounts and numbers -------------------------------------------------

const steps = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export function relative(instant, now = Date.now()) {
  if (!instant) return text("never");
  const seconds = (new Date(instant).getTime() - now) / 1000;
  const [unit, size] = steps.find(([, length]) => Math.abs(seconds) >= length) ?? steps.at(-1);
  return new Intl.RelativeTimeFormat(locale(), { numeric: "auto" }).format(Math.round(seconds / size), unit);
}

export function utc(instant) {
  return instant ? `${new Date(instant).toISOString().slice(0, 19).replace("T", " ")} UTC` : "";
}

export function clock(instant) {
  return new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit" }).format(new Date(instant));
}

export function day(instant) {
  return new Intl.DateTimeFormat(locale(), { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }).format(new Date(instant));
}

export function number(value) {
  return new Intl.NumberFormat(locale()).format(value);
}

// A currency is never guessed: without one the bare number says so.
export function amount(value, currency) {
  if (value === null || value === undefined) return null;
  if (/^[A-Za-z]{3}$/.test(currency ?? "")) {
    return new Intl.NumberFormat(locale(), { style: "currency", currency, currencyDisplay: "code" }).format(value);
  }
  return `${number(value)} ${currency || `(${text("no_currency")})`}`;
}
