-- An account, its profile, the use of its address's claims (see use_emails), and the
-- message that MongoDB's preferences follow from, in one transaction. Returns the user's id.
CREATE OR REPLACE FUNCTION create_user_with_profile(
    p_region text,
    p_email text,
    p_password_hash text,
    p_first_name text,
    p_last_name text,
    p_user_type text DEFAULT 'student',
    p_phone_number text DEFAULT NULL,
    p_date_of_birth date DEFAULT NULL,
    p_country text DEFAULT NULL,
    p_subdivision text DEFAULT NULL,
    p_city text DEFAULT NULL,
    p_bio text DEFAULT NULL,
    p_avatar_url text DEFAULT NULL,
    p_locale text DEFAULT 'en',
    p_time_zone text DEFAULT 'UTC',
    p_preferences jsonb DEFAULT '{}',
    p_user_id uuid DEFAULT NULL,
    p_claims jsonb DEFAULT '[]'
)
RETURNS uuid
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    v_code CONSTANT integer := region_code(p_region);
    v_user_id uuid;
BEGIN
    -- ON CONFLICT waits for a concurrent registration of the same address.
    INSERT INTO users (id, region, email, password_hash, first_name, last_name, user_type)
    VALUES (coalesce(p_user_id, new_id(v_code)), p_region, p_email, p_password_hash, p_first_name,
            p_last_name, p_user_type)
    ON CONFLICT (email) DO NOTHING
    RETURNING id INTO v_user_id;

    IF v_user_id IS NULL THEN
        RAISE EXCEPTION 'email address taken' USING
            ERRCODE = 'LE021', DETAIL = jsonb_build_object('email', p_email)::text;
    END IF;

    PERFORM use_emails(p_claims, v_user_id, p_email);

    INSERT INTO user_profiles (id, user_id, phone_number, date_of_birth, country, subdivision,
                               city, bio, avatar_url, locale, time_zone)
    VALUES (new_id(v_code), v_user_id, p_phone_number, p_date_of_birth, p_country, p_subdivision,
            p_city, p_bio, p_avatar_url, p_locale, p_time_zone);

    INSERT INTO outbox (topic, payload)
    VALUES ('user_registered',
            jsonb_build_object('user_id', v_user_id, 'preferences', p_preferences));

    RETURN v_user_id;
END;
$$;
